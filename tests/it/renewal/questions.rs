//! What a person is asked, and what becomes of a renewal by what they say.

use std::sync::{Arc, Mutex};

use obnova_api::Options;
use obnova_tests::{Agent, Answer, Asked, Recipe, Scene, Terminal, eventually};

use super::{AGREES, PASSWORD, Watched};

#[tokio::test]
async fn a_renewal_in_a_terminal() {
    let watched = Watched::package().await;
    let mut terminal = Terminal::run(&watched.scene, &["renew", "anna", "--wait"]);
    terminal.shows(1, "[y/N] ").await;
    terminal.types("y\n");
    terminal.shows(1, "Password: ").await;
    assert!(!terminal.echoes());
    watched.nothing_is_written();
    terminal.types("wrong\n");
    terminal.shows(2, "Password: ").await;
    watched.nothing_is_written();
    terminal.types(&format!("{PASSWORD}\n"));
    assert!(terminal.ended().await.success(), "{}", terminal.screen());
    assert!(terminal.echoes());
    assert!(!terminal.screen().contains("wrong") && !terminal.screen().contains(PASSWORD), "{}", terminal.screen());
    watched.is_renewed_beside();
}

#[tokio::test]
async fn after_a_wrong_secret_the_question_returns_and_nothing_is_written() {
    let watched = Watched::package().await;
    let seen = Arc::<Mutex<Vec<(usize, usize)>>>::default();
    let (seeing, files, database) = (Arc::clone(&seen), watched.scene.files(), watched.scene.state_dir());
    let agent = Agent::on(&watched.scene.bus, move |asked, _| {
        if asked == Asked::Consent {
            return std::future::ready(Answer::Yes);
        }
        let mut seen = seeing.lock().expect("what was seen");
        seen.push((std::fs::read_dir(&files).expect("a directory").count(), records(&database)));
        let answer = if seen.len() < 4 { "wrong" } else { PASSWORD };
        std::future::ready(Answer::Secret(answer.into()))
    })
    .await;
    agent.register(false).await;
    let id = watched.scene.item("the old one", |item| item.kind == "identity").await.id;
    agent.manager().await.act(&id, "renew", &Options::default()).await.expect("begun");
    watched.scene.item("the end", |item| item.kind == "renewal" && item.state == "done").await;
    watched.is_renewed_beside();
    let seen = seen.lock().expect("what was seen").clone();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|at_this_question| *at_this_question == seen[0]), "{seen:?}");
    let asked: Vec<_> = agent.asked().into_iter().filter(|(asked, _)| *asked == Asked::Secret).collect();
    let refused: Vec<_> = asked.iter().map(|(_, question)| question.refused).collect();
    assert_eq!(refused, [None, Some(true), Some(true), Some(true)]);
    assert!(asked.iter().all(|(_, question)| question.id == asked[0].1.id), "it is one question");
    let question = &asked[0].1;
    assert_eq!((question.about.as_str(), question.item.as_str()), ("renewal", id.as_str()));
    assert_eq!(question.uses.as_deref(), Some(&["open-old".to_owned(), "protect-new".to_owned()][..]));
    assert_eq!(question.args.as_ref().expect("arguments")["path"], watched.path.display().to_string());
}

#[tokio::test]
async fn a_person_who_does_not_know_the_secret_finds_everything_as_it_was() {
    let watched = Watched::package().await;
    let outcome = watched.renew("consent=renewal:yes\npassword=wrong\npassword=\n", &[]).await.ends(3);
    assert!(outcome.out.is_empty() && outcome.err.contains("hint:"), "{outcome:?}");
    watched.nothing_is_written();
    let item = watched.scene.item("what waits", |item| item.kind == "renewal").await;
    assert_eq!((item.state.as_str(), item.problem.expect("a problem").kind.as_str()), ("waiting", "refused"));
    watched.scene.obnova(&["status"]).await.ends(3);
    // Nobody is asked again unless somebody says so.
    assert_eq!(watched.story().await.last().expect("a line"), "step-failed generate-keys refused");
    watched.scene.obnova_answering(&format!("password={PASSWORD}\n"), &["resume", "anna", "--wait"]).await.ends(0);
    watched.is_renewed_beside();
}

#[tokio::test]
async fn a_no_ends_it() {
    let watched = Watched::package().await;
    for answers in ["consent=renewal:no\npassword=geheim\n", "consent=watch:yes\n"] {
        let outcome = watched.renew(answers, &[]).await;
        assert!(outcome.code == 1 || outcome.code == 3, "{outcome:?}");
        watched.nothing_is_written();
        if outcome.code == 3 {
            // No answer at all is no "no".
            watched.scene.obnova(&["cancel", "anna"]).await.ends(0);
        }
        let item = watched.scene.item("a certificate that warns again", |item| item.kind == "identity").await;
        assert_eq!((item.state.as_str(), item.next_step.expect("a next step").what.as_str()), ("expiring", "renew"));
    }
    let cancelled = watched.scene.items().await.into_iter().filter(|item| item.state == "cancelled").count();
    assert_eq!(cancelled, 2);
    watched.renew(AGREES, &[]).await.ends(0);
    watched.is_renewed_beside();
}

#[tokio::test]
async fn with_nobody_there_it_waits_and_is_resumed() {
    let watched = Watched::package().await;
    let outcome = watched.scene.obnova(&["renew", "anna", "--wait"]).await.ends(3);
    assert!(outcome.err.contains("hint:"), "{outcome:?}");
    let item = watched.scene.item("what waits", |item| item.kind == "renewal").await;
    assert_eq!((item.state.as_str(), item.problem.expect("a problem").kind.as_str()), ("waiting", "no-agent"));
    watched.nothing_is_written();
    let renewals = watched.scene.obnova(&["renewals", "--json"]).await.ends(0).json();
    assert_eq!(renewals.as_array().expect("an array").len(), 1);
    // By the number of the job.
    watched.scene.obnova_answering(AGREES, &["resume", "1", "--wait"]).await.ends(0);
    watched.is_renewed_beside();
    assert_eq!(watched.scene.obnova(&["renewals", "--json"]).await.ends(0).json(), serde_json::json!([]));
    let outcome = watched.scene.obnova(&["resume", "1"]).await;
    assert_eq!(outcome.code, 1, "it has ended: {outcome:?}");
}

#[tokio::test]
async fn begun_without_waiting_it_goes_on_alone() {
    let watched = Watched::package().await;
    let agent = Agent::with_secret(&watched.scene.bus, PASSWORD).await;
    agent.register(false).await;
    let outcome = watched.scene.obnova(&["renew"]).await.ends(0);
    assert!(outcome.err.contains("Anna Nová"), "{outcome:?}");
    watched.scene.item("the end", |item| item.kind == "renewal" && item.state == "done").await;
    watched.is_renewed_beside();
    assert_eq!(agent.secrets_asked(), 1);
}

#[tokio::test]
async fn a_renewal_is_cancelled() {
    let watched = Watched::package().await;
    let agent = Agent::on(&watched.scene.bus, |_, _| std::future::ready(Answer::Silence)).await;
    agent.register(false).await;
    let renewing = watched.scene.obnova(&["renew", "anna"]).await.ends(0);
    eventually("a question", async || (!agent.asked().is_empty()).then_some(())).await;
    let again = watched.scene.obnova(&["renew", "anna"]).await.ends(1);
    assert!(again.err.contains("hint:"), "{renewing:?} {again:?}");
    watched.scene.obnova(&["cancel", "anna"]).await.ends(0);
    let item = watched.scene.item("the end", |item| item.kind == "renewal").await;
    assert_eq!(item.state, "cancelled");
    watched.nothing_is_written();
    eventually("the question is withdrawn", async || (!agent.withdrawn().is_empty()).then_some(())).await;
    watched.scene.obnova(&["cancel", "anna"]).await.ends(1);
    agent.leave().await;
    watched.renew(AGREES, &[]).await.ends(0);
    watched.is_renewed_beside();
}

/// While it is renewed, it does not warn; cancelled, it does again.
#[tokio::test]
async fn a_renewal_that_waits_shows_itself() {
    let watched = Watched::package().await;
    watched.scene.obnova(&["renew", "anna", "--wait"]).await.ends(3);
    let list = watched.scene.obnova(&["list", "--json"]).await.ends(0).json();
    assert_eq!(list.as_array().expect("an array").len(), 1);
    assert_eq!((&list[0]["state"], &list[0]["next_step"]["action"]), (&"renewing".into(), &"resume".into()));
    assert_eq!(list[0]["problem"]["kind"], "no-agent");
    let status = watched.scene.obnova(&["status"]).await.ends(3);
    assert!(format!("{}{}", status.out, status.err).contains("obnova resume 'Anna Nová'"), "{status:?}");
}

/// How many records the journal holds.
fn records(state: &std::path::Path) -> usize {
    let path = state.join("journal.sqlite");
    let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened");
    database
        .query_row("SELECT count(*) FROM record", [], |row| row.get::<_, i64>(0))
        .expect("a count")
        .try_into()
        .expect("a count")
}

/// What would happen is told, and nothing does.
#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let scene = Scene::set().await;
    Recipe::new("Anna").days_left(20).make().write_p12(&scene.file("anna.p12"), "geheim", &[]);
    let _daemon = scene.start().await;
    scene.watch(&scene.file("anna.p12"), Some("geheim")).await;
    let before = scene.contents();
    let told = scene.obnova(&["renew", "Anna", "--dry-run"]).await.ends(0);
    assert!(told.out.contains("A new key and a new certificate will be made and written to"), "{told:?}");
    let plan = scene.obnova(&["renew", "Anna", "--dry-run", "--json"]).await.ends(0).json();
    assert_eq!(plan["steps"][0], "preflight");
    assert!(plan["args"]["to"].as_str().expect("a path").contains("anna-"), "{plan}");
    assert_eq!(plan.get("job"), None);
    assert_eq!(scene.contents(), before);
    let renewals = scene.obnova(&["renewals", "--all", "--json"]).await.ends(0).json();
    assert_eq!(renewals, serde_json::json!([]));
    scene.obnova(&["renew", "Anna", "--dry-run", "--wait"]).await.ends(2);
}
