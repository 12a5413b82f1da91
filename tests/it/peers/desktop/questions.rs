//! Questions in pinentry's windows, typed into.

use std::fs;

use obnova_api::QuestionView;
use tokio::time::timeout;
use zbus::zvariant::OwnedFd;

use super::{PATIENCE, YES, with_anna};

/// What xdotool can type and a careless conversion loses.
const PASSWORD: &str = "Grüße, kůň & 100 % _Ž";

#[tokio::test]
async fn a_password_is_typed_with_all_its_letters() {
    let (desk, bus, world) = with_anna(&[]).await;
    let agent = world.agent(&bus).await;
    let ask = |id: &str| {
        let agent = agent.clone();
        let question = QuestionView {
            id: id.into(),
            item: "a1".into(),
            name: "Anna Nováková & Co".into(),
            about: "renewal".into(),
            secret: Some("password".into()),
            uses: Some(vec!["open-old".into(), "protect-new".into()]),
            args: Some([("path".to_owned(), "/home/anna/100 % Anna.p12".to_owned())].into()),
            ..QuestionView::default()
        };
        tokio::spawn(async move {
            let (reading, writing) = obnova_secret::pipe().expect("a pipe");
            let answer = agent.secret(&question, OwnedFd::from(writing)).await;
            let mut bytes = Vec::new();
            let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(reading).expect("a pipe");
            tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut bytes).await.expect("read");
            (answer, bytes)
        })
    };

    let typed = ask("typed");
    desk.appears("pinentry").await;
    desk.xdotool(&["type", PASSWORD]);
    desk.keep_picture("pinentry");
    desk.xdotool(&["key", "Return"]);
    let (answer, bytes) = timeout(PATIENCE, typed).await.expect("in time").expect("no panic");
    answer.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&bytes), PASSWORD);
    desk.disappears("pinentry").await;

    let closed = ask("closed");
    desk.appears("pinentry").await;
    desk.until("a refusal", || {
        desk.xdotool(&["key", "Escape"]);
        closed.is_finished().then_some(())
    })
    .await;
    let (answer, bytes) = closed.await.expect("no panic");
    assert_eq!(answer.expect_err("closed").kind(), Some("refused"));
    assert!(bytes.is_empty());
    desk.disappears("pinentry").await;

    let withdrawn = ask("withdrawn");
    desk.appears("pinentry").await;
    agent.withdraw("withdrawn").await.expect("taken back");
    let (answer, _) = timeout(PATIENCE, withdrawn).await.expect("in time").expect("no panic");
    assert_eq!(answer.expect_err("taken back").kind(), Some("refused"));
    desk.disappears("pinentry").await;

    // Nothing of it is left where others could read: neither log nor memory may be looked into.
    let log = fs::read_to_string(desk.log()).expect("the log");
    assert!(!log.contains("kůň") && !log.contains("k%C5"), "{log}");
}

#[tokio::test]
async fn consent_is_a_window_that_says_what_will_happen() {
    let (desk, bus, world) = with_anna(&[]).await;
    let agent = world.agent(&bus).await;
    let question = QuestionView {
        id: "q".into(),
        item: "a1".into(),
        name: "Anna Nováková & Co".into(),
        about: "renewal".into(),
        steps: Some(["generate-keys", "request", "verify", "install", "retire-old"].map(str::to_owned).to_vec()),
        args: Some(
            [
                ("name", "Anna Nováková & Co"),
                ("not_after", "2099-11-10T12:00:00Z"),
                ("to", "/home/anna/anna-2099.p12"),
                ("programme", "self-signed"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ),
        ..QuestionView::default()
    };
    for answer in [true, false] {
        let (asking, question) = (agent.clone(), question.clone());
        let asked = tokio::spawn(async move { asking.consent(&question).await });
        desk.appears("pinentry").await;
        if answer {
            desk.keep_picture("consent");
        }
        desk.until("an answer", || {
            // The left one of its two buttons has the focus: no.
            match desk.window("pinentry") {
                Some(window) if answer => desk.click(&window, YES),
                _ => drop(desk.xdotool(&["key", "Return"])),
            }
            asked.is_finished().then_some(())
        })
        .await;
        assert_eq!(asked.await.expect("no panic").expect("an answer"), answer);
        desk.disappears("pinentry").await;
    }
}
