//! On a token of software: two pairs side by side.

use obnova_api::Options;
use obnova_tests::token::{PIN, SoftToken, configuration};
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{Agent, Answer, KeyKind, News, Scene, eventually};
use openssl::hash::MessageDigest;
use openssl::sign::Verifier;
use openssl::x509::X509;

use super::{configured, counts, listed};

/// A token with a qualified key that always asks, and a commercial one.
pub(super) fn pair(days_left: i64) -> SoftToken {
    let token = SoftToken::new("Anna");
    let authority = CardAuthority::new();
    let qualified = token.generate("01", "qualified", KeyKind::Rsa(2048), &["--always-auth", "--usage-sign"]);
    let commercial = token.generate("02", "commercial", KeyKind::P256, &["--usage-sign", "--usage-derive"]);
    token.write("01", "qualified", &authority.issue("Anna Novak", &qualified, Use::Binding, days_left));
    token.write("02", "commercial", &authority.issue("Anna Novak", &commercial, Use::Agreeing, days_left));
    token
}

/// The `CKA_ID`s of the certificates on the token that are not of the old pair.
pub(super) fn new_ids(token: &SoftToken) -> Vec<String> {
    let certificates = token.objects().into_iter().filter(|(class, _, _)| class == "Certificate");
    certificates.map(|(_, id, _)| id).filter(|id| !["01", "02"].contains(&id.as_str())).collect()
}

/// A module with slots of its own tells of its tokens, of which no card service knows; a helper sleeps in it meanwhile.
#[tokio::test]
async fn a_token_is_seen_to_come_and_to_go_where_its_module_tells() {
    let token = pair(20);
    let scene = Scene::set().await;
    let plug = scene.home().join("plugged");
    let _daemon = scene.start_as(configured(&scene, "card-twins", &configuration(&token.pluggable(&plug)))).await;
    let news = News::on(&scene.bus).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    scene.item("a token that is away", |item| item.state == "away").await;
    let listened = async |times: usize| {
        let listened = async || (token.count("C_WaitForSlotEvent") >= times).then_some(());
        eventually("a module that is listened to", listened).await;
    };
    listened(1).await;
    std::fs::write(&plug, "").expect("plugged in");
    scene.item("the twins", |item| item.kind == "identity" && item.name == "Anna Novak").await;
    let cards = scene.obnova(&["card", "list", "--json"]).await.ends(0).json();
    assert_eq!(cards[0]["state"], "present");

    // Nobody asks, and yet whoever shows the card is told.
    let id = cards[0]["id"].as_str().expect("an id");
    listened(2).await;
    news.forget();
    std::fs::remove_file(&plug).expect("pulled out");
    news.changed(id).await;
    assert_eq!(scene.obnova(&["card", "list", "--json"]).await.ends(0).json()[0]["state"], "away");
    listened(3).await;
    news.forget();
    std::fs::write(&plug, "").expect("plugged in");
    news.changed(id).await;
}

#[tokio::test]
async fn twins_are_renewed_beside_the_old_pair() {
    let token = pair(20);
    let before = token.objects();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, "card-twins", &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let old = listed(&scene).await;
    let mut roles: Vec<&str> = old.iter().map(|(role, _)| role.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["commercial", "qualified"]);

    let answers = format!("consent=renewal:yes\npin={PIN}\n");
    let outcome = scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert!(outcome.err.contains("Anna Novak has a new certificate"), "{outcome:?}");

    // One order of two; both new ones listed, and none of the old.
    assert_eq!(counts(&scene), [2, 1, 2]);
    let new = listed(&scene).await;
    assert_eq!(new.len(), 2);
    assert!(new.iter().all(|one| !old.contains(one)));

    // Others see the old as it was and the new beside it, whose keys sign.
    assert!(before.is_subset(&token.objects()), "nothing is gone");
    let ids = new_ids(&token);
    assert_eq!(ids.len(), 2, "{}", token.listing());
    let mut always = Vec::new();
    for id in &ids {
        let certificate = X509::from_der(&token.certificate(id)).expect("a certificate");
        let key = certificate.public_key().expect("a key");
        let access = token.private_key(id);
        always.push(access.contains("always authenticate"));
        assert!(access.contains("never extractable"), "{access}");
        let signature = token.sign(id, b"a message");
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).expect("a verifier");
        assert!(verifier.verify_oneshot(&signature, b"a message").expect("judged"), "{id}");
    }
    always.sort_unstable();
    assert_eq!(always, [false, true], "the qualified one asks each time, as the old one does");
}

/// A configuration in which this credential is the token's PIN, as systemd hands it over.
fn handed_over(scene: &Scene, token: &SoftToken, pin: &str) -> tokio::process::Command {
    let directory = scene.home().join("credentials");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("pin"), pin).expect("written");
    let text = format!("credentials = [{{ place = \"{}\", name = \"pin\" }}]\n{}", token.place(), token.configuration());
    let mut command = configured(scene, "card-twins", &text);
    command.env("CREDENTIALS_DIRECTORY", directory);
    command
}

#[tokio::test]
async fn a_pin_that_is_handed_over_is_typed_by_nobody() {
    let token = pair(20);
    let scene = Scene::set().await;
    let _daemon = scene.start_as(handed_over(&scene, &token, PIN)).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    scene.obnova_answering("consent=renewal:yes\n", &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(new_ids(&token).len(), 2);
}

#[tokio::test]
async fn a_wrong_pin_that_is_handed_over_is_tried_once_and_told() {
    let token = pair(20);
    let scene = Scene::set().await;
    let _daemon = scene.start_as(handed_over(&scene, &token, "87654321")).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let agent = Agent::on(&scene.bus, |asked, _| {
        std::future::ready(if asked == obnova_tests::Asked::Consent { Answer::Yes } else { Answer::Refuse })
    })
    .await;
    agent.register(false).await;
    let item = scene.item("the pair", |item| item.kind == "identity").await;
    agent.manager().await.act(&item.id, "renew", &Options::default()).await.expect("begun");
    // Whoever is there is asked for the right one, and may refuse.
    eventually("the PIN is asked for", async || (agent.secrets_asked() == 1).then_some(())).await;
    let waits = |item: &obnova_api::ItemView| item.kind == "renewal" && item.state == "waiting";
    assert_eq!(scene.item("it waits", waits).await.problem.expect("why").kind, "refused");
    agent.leave().await;
    // Where nobody is there, it is told whose fault it is.
    scene.obnova(&["resume", "Anna Novak"]).await.ends(0);
    let wrong = |item: &obnova_api::ItemView| item.problem.as_ref().is_some_and(|problem| problem.kind == "wrong-credential");
    scene.item("the credential is told of", |item| item.kind == "renewal" && wrong(item)).await;
    assert!(token.opens(PIN), "it is not blocked");
    assert_eq!(new_ids(&token), Vec::<String>::new());
}

/// What happens once for both, and what for each.
const ONCE: [&str; 5] = ["preflight", "consent", "submit", "await-issue", "fetch"];
const EACH: [&str; 5] = ["generate-keys", "request", "verify", "install", "retire-old"];

/// Kills the daemon at this instant of each step, for each certificate; the next one finishes what it finds.
async fn killed(instant: &str) {
    let second = EACH.map(|step| format!("{step}.1"));
    let steps = ONCE.into_iter().chain(EACH).map(str::to_owned).chain(second);
    for step in steps {
        let token = pair(20);
        let before = token.objects();
        let scene = Scene::set().await;
        let mut command = configured(&scene, "card-twins", &token.configuration());
        command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
        let mut daemon = scene.start_as(command).await;
        scene.obnova(&["watch", &token.place()]).await.ends(0);
        let agent = Agent::with_secret(&scene.bus, PIN).await;
        agent.register(false).await;
        let item = scene.item("the pair", |item| item.kind == "identity").await;
        match agent.manager().await.act(&item.id, "renew", &Options::default()).await {
            Ok(_) | Err(obnova_api::Error::Bus(_)) => {}
            Err(error) => panic!("{error}"),
        }
        daemon.ended().await;
        agent.leave().await;

        let _daemon = scene.start_as(configured(&scene, "card-twins", &token.configuration())).await;
        let renewal = scene.item("it waits or has ended", |item| item.kind == "renewal" && item.state != "running").await;
        if renewal.state != "done" {
            let answers = format!("consent=renewal:yes\npin={PIN}\n");
            // With what has been agreed to already, a line for the consent is one too many.
            let answers = if ["preflight", "consent"].contains(&step.as_str()) && !(step == "consent" && instant == "done") {
                answers
            } else {
                format!("pin={PIN}\n")
            };
            scene.obnova_answering(&answers, &["resume", "Anna Novak", "--wait"]).await.ends(0);
        }
        let when = format!("killed at {step}:{instant}");
        assert_eq!(new_ids(&token).len(), 2, "{when}: {}", token.listing());
        let made = token.objects().into_iter().filter(|object| !before.contains(object) && object.0 == "Private Key");
        assert_eq!(made.count(), 2, "{when}: {}", token.listing());
        assert!(before.is_subset(&token.objects()), "{when}");
        assert_eq!(&counts(&scene)[1..], [1, 2], "{when}");
        for id in new_ids(&token) {
            let key = X509::from_der(&token.certificate(&id)).expect("a certificate").public_key().expect("a key");
            let mut verifier = Verifier::new(MessageDigest::sha256(), &key).expect("a verifier");
            assert!(verifier.verify_oneshot(&token.sign(&id, b"m"), b"m").expect("judged"), "{when}: {id}");
        }
    }
}

#[tokio::test]
async fn killed_when_it_has_said_what_it_will_do() {
    killed("intended").await;
}

#[tokio::test]
async fn killed_when_it_has_done_it() {
    killed("acted").await;
}

#[tokio::test]
async fn killed_when_it_has_said_that_it_is_done() {
    killed("done").await;
}

#[tokio::test]
async fn a_wrong_pin_leaves_the_renewal_where_it_is() {
    let token = pair(20);
    let before = token.objects();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, "card-twins", &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let answers = "consent=renewal:yes\npin=000000\n";
    scene.obnova_answering(answers, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!(token.objects(), before, "nothing was made");
    scene.obnova_answering(&format!("pin=999999\npin={PIN}\n"), &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(new_ids(&token).len(), 2);
    assert_eq!(counts(&scene), [2, 1, 2]);
}

#[tokio::test]
async fn an_authority_that_pauses_is_waited_for_over_a_restart() {
    let token = pair(20);
    let scene = Scene::set().await;
    let mut daemon = scene.start_as(configured(&scene, "paused-twins", &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let answers = format!("consent=renewal:yes\npin={PIN}\n");
    let outcome = scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(outcome.err.contains("has not issued yet") || outcome.out.contains("has not issued yet"), "{outcome:?}");
    assert_eq!(new_ids(&token).len(), 0, "there is nothing to install yet");
    daemon.stop().await;
    let _daemon = scene.start_as(configured(&scene, "paused-twins", &token.configuration())).await;
    scene.obnova_answering(&format!("pin={PIN}\n"), &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(new_ids(&token).len(), 2);
    assert_eq!(counts(&scene), [2, 1, 2]);
}
