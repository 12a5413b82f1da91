//! Whole renewals with the key in a file.

use obnova_api::Options;
use obnova_tests::authority::register::Says;
use obnova_tests::authority::{Counted, Fault, Manner, StandIn};
use obnova_tests::{Agent, KeyKind, Scene};
use obnova_text::Text;

use super::{ANSWERS, PASSWORD, annas, configured, renewed};

const ONE: Counted = Counted { requests: 1, again: 0, certificates: 1 };

#[tokio::test]
async fn a_certificate_in_a_file_is_renewed_by_its_authority() {
    for kind in [KeyKind::P256, KeyKind::Rsa(2048), KeyKind::P384] {
        let stand_in = StandIn::start();
        let old = annas(&stand_in, kind);
        let scene = Scene::set().await;
        old.write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
        let before = scene.contents();
        let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        let plan = scene.obnova(&["renew", "Anna Novak", "--dry-run"]).await.ends(0);
        assert!(plan.out.contains("sent to localhost:"), "{plan:?}");
        scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
        assert_eq!(stand_in.counted(), ONE);
        let new = renewed(&scene).expect("a new file");
        assert!(new.fits() && !new.key.public_eq(&old.key));
        assert!(new.certificate.verify(&stand_in.certificate().public_key().expect("a key")).expect("judged"));
        assert_eq!(scene.contents()["anna.p12"], before["anna.p12"], "the old file is as it was");
    }
}

#[tokio::test]
async fn a_pem_pair_whose_key_is_protected_is_renewed() {
    let stand_in = StandIn::start();
    let old = annas(&stand_in, KeyKind::P256);
    let scene = Scene::set().await;
    scene.write("anna.crt", old.pem());
    scene.write("anna.key", old.key_pem_protected(PASSWORD));
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.watch(&scene.file("anna.crt"), None).await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), ONE);
}

/// 202 until somebody pays: the renewal waits, over a restart, and goes on by itself.
#[tokio::test]
async fn an_authority_that_takes_its_time_is_asked_again_by_itself() {
    let stand_in = StandIn::start_as(Manner { at_once: false, ..Manner::default() });
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let mut daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let outcome = scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("has not issued yet"), "{outcome:?}");
    daemon.stop().await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene
        .item("it waits for the authority", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "awaiting-issue")
        })
        .await;
    assert_eq!(stand_in.counted().certificates, 0);
    stand_in.relents();
    // Without anybody saying go on, until the password is needed.
    scene
        .item("it waits for the person", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "no-agent")
        })
        .await;
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), ONE);
    assert!(renewed(&scene).expect("a new file").fits());
}

/// Where the server cannot be asked what it has, and said nothing, only the person decides that the same bytes go out once more.
#[tokio::test]
async fn what_may_have_arrived_is_sent_again_only_after_a_yes() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let mute = |text: &str| text.replace("orders = ", "# orders = ");
    let _daemon = scene.start_as(configured(&scene, &stand_in, mute)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    stand_in.fails(Some(Fault::Mute));
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!((stand_in.counted().requests, stand_in.counted().again), (1, 0));
    stand_in.fails(None);
    let outcome = scene.obnova_answering("", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("cannot be told"), "{outcome:?}");
    assert_eq!((stand_in.counted().requests, stand_in.counted().again), (1, 0), "nobody has said yes");
    let yes = "consent=send-again:yes\npassword=geheim\n";
    scene.obnova_answering(yes, &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), Counted { requests: 1, again: 1, certificates: 1 });
}

/// The examples that are handed out are right, each by itself.
#[test]
fn the_example_programmes_are_right() {
    let directory = format!("{}/../packaging/programmes", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(directory).expect("examples");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("text");
        let programme = obnova_core::Programme::parse(&path.display().to_string(), &text).expect("no mistake");
        assert_eq!(path.file_stem().and_then(|name| name.to_str()), Some(programme.name.as_str()));
    }
}

/// What the authority says of the new certificate is asked once; where it does not say it, that holds nothing up.
#[tokio::test]
async fn whether_the_new_certificate_was_revoked_is_asked_and_holds_nothing_up() {
    for (says, asked, told) in [
        (Says::Truth, &["/ocsp"][..], "has not been revoked"),
        (Says::Garbage, &["/ocsp", "/list.crl"], "was not found out"),
        (Says::Broken, &["/ocsp", "/list.crl"], "was not found out"),
    ] {
        let stand_in = StandIn::start();
        let scene = Scene::set().await;
        annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
        let daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        stand_in.register().says(says);
        scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
        let paths = stand_in.register().asked();
        let paths: Vec<&str> = paths.iter().map(|path| if path.starts_with("/ocsp/") { "/ocsp" } else { path }).collect();
        let mut distinct = paths.clone();
        distinct.dedup();
        assert_eq!(distinct, asked, "{says:?}: {paths:?}");
        assert!(daemon.log().contains(told), "{says:?}: {}", daemon.log());
    }
}

/// Unless somebody has said that it may, no address of a stranger's leads to this machine.
#[tokio::test]
async fn an_address_in_a_new_certificate_does_not_lead_to_this_machine() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let command = configured(&scene, &stand_in, str::to_owned);
    std::fs::write(scene.home().join("configuration/obnova.toml"), "").expect("written");
    let daemon = scene.start_as(command).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert!(stand_in.register().asked().is_empty());
    assert!(daemon.log().contains("forbidden"), "{}", daemon.log());
}

/// What the authority has written otherwise than it was asked for is listed, and taken only after a yes.
#[tokio::test]
async fn what_differs_is_taken_after_a_yes() {
    for (fault, said) in [(Fault::OtherHolder, "The name says"), (Fault::OtherUse, "It is for")] {
        let stand_in = StandIn::start();
        let scene = Scene::set().await;
        annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
        let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        stand_in.fails(Some(fault));
        let no =
            scene.obnova_answering(&format!("{ANSWERS}consent=differences:no\n"), &["renew", "Anna Novak", "--wait"]).await;
        no.ends(3);
        assert_eq!(renewed(&scene).map(|new| new.sha256()), None);
        let agent = Agent::with_secret(&scene.bus, PASSWORD).await;
        agent.register(false).await;
        let item = scene.item("a renewal", |item| item.kind == "renewal").await;
        agent.manager().await.act(&item.id, "resume", &Options::default()).await.expect("it goes on");
        scene.item("it is done", |item| item.kind == "renewal" && item.state == "done").await;
        let asked = agent.asked();
        let (_, question) = asked.iter().find(|(_, question)| question.about == "differences").expect("it was asked");
        let words = Text::for_environment("C").question(obnova_text::Asked::Consent, question);
        assert!(words.body.contains(said), "{words:?}");
        assert!(renewed(&scene).expect("a new file").fits(), "{fault:?}");
    }
}
