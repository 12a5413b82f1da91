//! Requests by signed mail: what is sent is judged by OpenSSL alone, once, through the person's server and never without TLS; what comes
//! of it comes by mail.

use obnova_tests::authority::post::{PASSWORD as MAIL_PASSWORD, PostFault, PostManner, PostOffice};
use obnova_tests::authority::{Counted, StandIn};
use obnova_tests::{KeyKind, Scene};
use tokio::process::Command;

use super::mailed::{finishes, mails, waits_with};
use super::{ANSWERS, PASSWORD, annas, renewed, with};

const ONE: Counted = Counted { requests: 1, again: 0, certificates: 0 };

/// The person is asked for the password of the mail server, too.
fn answers() -> String {
    format!("{ANSWERS}password={MAIL_PASSWORD}\n")
}

fn configured(scene: &Scene, stand_in: &StandIn, smtp: &str) -> Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    stand_in.write_programme("signed-mail", &directory.join("programmes.d/signed-mail.toml"), str::to_owned);
    std::fs::write(directory.join("obnova.toml"), smtp).expect("written");
    with(scene, &directory.join("obnova.toml"))
}

async fn prepared(kind: KeyKind, manner: PostManner) -> (StandIn, PostOffice, Scene) {
    let stand_in = StandIn::start();
    let office = stand_in.post_office(manner);
    let scene = Scene::set().await;
    annas(&stand_in, kind).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    (stand_in, office, scene)
}

#[tokio::test]
async fn a_request_goes_by_mail_and_its_certificate_comes_by_mail() {
    for (kind, starttls) in [(KeyKind::P256, false), (KeyKind::Rsa(2048), true)] {
        let (stand_in, office, scene) = prepared(kind, PostManner { starttls, fault: None }).await;
        let _daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(None))).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        let plan = scene.obnova(&["renew", "Anna Novak", "--dry-run"]).await.ends(0);
        assert!(plan.out.contains("sent by mail from anna@example.org to renewal@ra.example"), "{plan:?}");
        let outcome = scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await.ends(3);
        assert!(outcome.err.contains("has been sent to renewal@ra.example"), "{outcome:?}");
        assert_eq!(stand_in.counted(), ONE);
        mails(&scene, "made", "application/pkcs7-mime", &stand_in.mailed(None)).await;
        finishes(&stand_in, &scene).await;
    }
}

/// A file has the password: nobody is asked for it.
#[tokio::test]
async fn a_password_in_a_file_is_enough() {
    let (stand_in, office, scene) = prepared(KeyKind::P256, PostManner::default()).await;
    let file = scene.home().join("smtp-password");
    std::fs::write(&file, format!("{MAIL_PASSWORD}\n")).expect("written");
    let _daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(Some(&file)))).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!(stand_in.counted(), ONE);
}

/// A refused password is asked for again only after a word of the person's; nothing was sent.
#[tokio::test]
async fn a_wrong_password_sends_nothing() {
    let (stand_in, office, scene) = prepared(KeyKind::P256, PostManner::default()).await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(None))).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let wrong = format!("{ANSWERS}password=other\n");
    let outcome = scene.obnova_answering(&wrong, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(outcome.err.contains("refuses the user anna or the password"), "{outcome:?}");
    assert_eq!((office.logins(), stand_in.counted().requests), (1, 0), "tried once");
    let right = format!("password={MAIL_PASSWORD}\n");
    scene.obnova_answering(&right, &["resume", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "awaiting-mail").await;
    assert_eq!(stand_in.counted(), ONE);
}

#[tokio::test]
async fn without_tls_nothing_is_said() {
    let manner = PostManner { starttls: true, fault: Some(PostFault::NoStarttls) };
    let (stand_in, office, scene) = prepared(KeyKind::P256, manner).await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(None))).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "mail-server").await;
    assert_eq!((office.logins(), stand_in.counted().requests), (0, 0));

    // Nor to a server that does not prove to be the one.
    let other =
        office.configuration(None).lines().filter(|line| !line.starts_with("certificates")).collect::<Vec<_>>().join("\n");
    let (stand_in, tls, scene) = prepared(KeyKind::P256, PostManner::default()).await;
    let port = |text: &str| text.lines().find(|line| line.starts_with("port")).expect("a port").to_owned();
    let untrusted = other.replace(&port(&other), &port(&tls.configuration(None))).replace("start-tls", "tls");
    let _daemon = scene.start_as(configured(&scene, &stand_in, &untrusted)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "mail-server").await;
    assert_eq!((tls.logins(), stand_in.counted().requests), (0, 0));
}

/// A server that says no has taken nothing: the same mail goes out later. One that hangs up may have: the person decides.
#[tokio::test]
async fn what_may_have_arrived_is_sent_again_only_after_a_yes() {
    let (stand_in, office, scene) =
        prepared(KeyKind::P256, PostManner { starttls: false, fault: Some(PostFault::Refuses) }).await;
    let mut daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(None))).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "mail-server").await;
    assert_eq!(stand_in.counted().requests, 0);

    daemon.stop().await;
    let mute = stand_in.post_office(PostManner { starttls: false, fault: Some(PostFault::Mute) });
    let mut daemon = scene.start_as(configured(&scene, &stand_in, &mute.configuration(None))).await;
    let password = format!("password={MAIL_PASSWORD}\n");
    scene.obnova_answering(&password, &["resume", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "mail-server").await;
    assert_eq!(stand_in.counted(), ONE);
    let outcome = scene.obnova_answering("consent=send-again:no\n", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    assert!(outcome.err.contains("cannot be told whether"), "{outcome:?}");
    assert_eq!(stand_in.counted(), ONE);

    daemon.stop().await;
    let well = stand_in.post_office(PostManner::default());
    let _daemon = scene.start_as(configured(&scene, &stand_in, &well.configuration(None))).await;
    let yes = format!("consent=send-again:yes\npassword={MAIL_PASSWORD}\n");
    scene.obnova_answering(&yes, &["resume", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "awaiting-mail").await;
    assert_eq!(stand_in.counted(), Counted { requests: 1, again: 1, certificates: 0 }, "the very same bytes");
}

/// Killed at three instants of the steps that make and send it: one request, once.
#[tokio::test]
async fn a_killed_daemon_sends_one_mail() {
    for (step, instant) in
        ["request", "submit"].into_iter().flat_map(|step| ["intended", "acted", "done"].map(|instant| (step, instant)))
    {
        let (stand_in, office, scene) = prepared(KeyKind::P256, PostManner::default()).await;
        let mut command = configured(&scene, &stand_in, &office.configuration(None));
        command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
        let mut daemon = scene.start_as(command).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        // The daemon goes away while it is waited for.
        drop(scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await);
        daemon.ended().await;
        let _daemon = scene.start_as(configured(&scene, &stand_in, &office.configuration(None))).await;
        let renewal = scene.item("it waits", |item| item.kind == "renewal" && item.state == "waiting").await;
        if renewal.problem.is_some_and(|problem| problem.kind != "awaiting-mail") {
            let both = format!("password={PASSWORD}\npassword={MAIL_PASSWORD}\n");
            let only = format!("password={MAIL_PASSWORD}\n");
            let given = if step == "request" && instant == "intended" { both } else { only };
            scene.obnova_answering(&given, &["resume", "Anna Novak", "--wait"]).await.ends(3);
        }
        waits_with(&scene, "awaiting-mail").await;
        assert_eq!(stand_in.counted(), ONE, "killed at {step}:{instant}");
        mails(&scene, "made", "application/pkcs7-mime", &stand_in.mailed(None)).await;
        finishes(&stand_in, &scene).await;
    }
}

/// Without a mail server nothing is begun.
#[tokio::test]
async fn without_a_mail_server_it_is_told_before_anything_is_made() {
    let (stand_in, _office, scene) = prepared(KeyKind::P256, PostManner::default()).await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, "")).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(&answers(), &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_with(&scene, "no-mail-server").await;
    assert_eq!(renewed(&scene).map(|new| new.sha256()), None);
}
