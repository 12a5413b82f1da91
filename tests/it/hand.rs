//! What a person does by hand in the course of a renewal: told, waited for over a crash, and confirmed by whoever is asked or by
//! `obnova done`.

use std::fs;

use obnova_tests::{Agent, Answer, Asked, Daemon, Recipe, Scene, eventually};

const STEPS: &str = "\"install\", \"by-hand\", \"by-hand\", \"retire-old\"]";

const HAND: &str = r#"
[[hand]]
instruction = "Select the new certificate in the mailbox."
copy = "{file}"

[[hand]]
instruction = "Close the mailbox and open it again."

[key]"#;

/// A certificate whose renewal has two steps that only a person can take.
async fn scene() -> (Scene, Daemon) {
    let scene = Scene::set().await;
    let directory = scene.home().join(".config/obnova/programmes.d");
    fs::create_dir_all(&directory).expect("a directory");
    let text = include_str!("../../crates/core/src/programmes/self-signed.toml")
        .replace("name = \"self-signed\"", "name = \"by-hand\"");
    let text = text.replace("\"install\", \"retire-old\"]", STEPS).replacen("\n[key]", HAND, 1);
    fs::write(directory.join("by-hand.toml"), text).expect("written");
    let daemon = scene.start().await;
    let made = Recipe::new("Anna").days_left(20).make();
    scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&scene.file("anna.pem"), None).await;
    (scene, daemon)
}

/// Whether the certificate waits for what begins so.
fn waits_for(item: &obnova_api::ItemView, begin: &str) -> bool {
    let instruction = item.problem.as_ref().and_then(|problem| problem.args.get("instruction"));
    item.kind == "identity" && instruction.is_some_and(|text| text.starts_with(begin))
}

#[tokio::test]
async fn it_waits_over_a_crash_until_the_person_has_done_it() {
    let (scene, mut daemon) = scene().await;
    let waits = scene.obnova_answering("consent=renewal:yes\n", &["renew", "anna", "--wait"]).await.ends(3);
    let copy = scene.contents().into_keys().find(|name| name != "anna.pem").expect("a new file");
    assert!(waits.err.contains("“Select the new certificate in the mailbox.” To copy there: “"), "{waits:?}");
    assert!(waits.err.contains(&copy), "{waits:?}");
    assert!(waits.err.contains("hint: When you have done it: obnova done Anna"), "{waits:?}");
    let item = scene.item("the certificate", |item| waits_for(item, "Select")).await;
    let next = item.next_step.expect("a next step");
    assert_eq!((next.who.as_str(), next.what.as_str(), next.action.as_deref()), ("you", "by-hand", Some("done")));

    daemon.kill().await;
    let mut daemon = scene.start().await;
    scene.item("it waits still", |item| waits_for(item, "Select")).await;
    let said = scene.obnova(&["done", "anna"]).await.ends(0);
    insta::assert_snapshot!(format!("{}{}", said.out, said.err));
    scene.item("the second", |item| waits_for(item, "Close")).await;
    // To go on is not to have done it.
    scene.obnova(&["resume", "anna", "--wait", "--secret-fd", "0"]).await.ends(3);
    scene.item("the second still", |item| waits_for(item, "Close")).await;
    let written = scene.obnova(&["done", "anna", "--wait", "--json"]).await.ends(0);
    insta::assert_json_snapshot!(written.steady_json());
    scene.item("the new one", |item| item.kind == "identity" && item.state == "valid" && item.job.is_none()).await;
    let again = scene.obnova(&["done", "anna"]).await.ends(1);
    assert!(again.err.contains("hint: "), "{again:?}");
    let log = scene.obnova(&["log"]).await.ends(0);
    assert_eq!(log.out.matches("you have done what only you could").count(), 2, "{log:?}");
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}

#[tokio::test]
async fn whoever_is_there_is_asked() {
    let (scene, _daemon) = scene().await;
    let agent = Agent::on(&scene.bus, |asked, question| {
        let closing = question.args.iter().flatten().any(|(name, text)| name == "instruction" && text.starts_with("Close"));
        std::future::ready(match asked {
            Asked::ConfirmHandStep if closing => Answer::Silence,
            Asked::Consent | Asked::ConfirmHandStep => Answer::Yes,
            _ => Answer::Refuse,
        })
    })
    .await;
    agent.register(false).await;
    let item = scene.item("the certificate", |item| item.kind == "identity").await;
    agent.manager().await.act(&item.id, "renew", &obnova_api::Options::default()).await.expect("begun");
    let asked = async || {
        let count = agent.asked().iter().filter(|(asked, _)| *asked == Asked::ConfirmHandStep).count();
        (count == 2).then_some(())
    };
    eventually("both are asked", asked).await;
    // While that question stands, the answer may come from elsewhere.
    scene.obnova(&["done", "anna", "--wait"]).await.ends(0);
    scene.item("the new one", |item| item.kind == "identity" && item.state == "valid" && item.job.is_none()).await;
}
