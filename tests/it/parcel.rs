//! Items of a kind that nobody has invented: every surface shows them, because none knows kinds.

use obnova::Ending;
use obnova_api::{ItemView, NextStepView};

use crate::cli::{Daemon, run};

#[tokio::test]
async fn the_command_line_shows_a_parcel() {
    let parcel = ItemView {
        id: "9999999999999999".into(),
        kind: "parcel".into(),
        name: "A box of books".into(),
        owner: "anna".into(),
        scope: "user".into(),
        state: "at-the-post-office".into(),
        level: "warning".into(),
        deadline: Some("2026-11-05T11:00:00Z".into()),
        next_step: Some(NextStepView {
            who: "you".into(),
            what: "collect-it".into(),
            by: Some("2026-11-05T11:00:00Z".into()),
            action: Some("collect-it".into()),
        }),
        ..ItemView::default()
    };
    let (_daemon, connection) = Daemon::with(vec![parcel]).await;

    let status = run(&connection, "status").await;
    assert_eq!(status.ending, Ending::NeedsPerson);
    assert!(status.out.contains("next: Collect it by 5 Nov: “A box of books”"), "{}", status.out);

    let list = run(&connection, "list").await.out;
    let row = list.lines().nth(1).expect("a row");
    let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, ["A box of books", "at the post office", "5 Nov (in 15 days)", "Collect it by 5 Nov"]);

    let shown = run(&connection, "show 'a box'").await.out;
    for fact in ["A box of books", "parcel", "at the post office", "by 5 Nov", "Collect it by 5 Nov", "9999999999999999"] {
        assert!(shown.contains(fact), "{fact} is not in {shown}");
    }

    let json: serde_json::Value = serde_json::from_str(&run(&connection, "list --json").await.out).expect("JSON");
    assert_eq!(json[0]["kind"], "parcel");
    assert_eq!(json[0]["next_step"]["what"], "collect-it");
    assert_eq!(json[0]["weather"], "fair", "what no version knows is passed on");
}
