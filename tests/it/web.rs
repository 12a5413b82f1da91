//! Renewals at an authority's page: what the person does there is unknown; what other programs make is noticed where it is watched,
//! judged, tried and taken into use.

use obnova_tests::authority::StandIn;
use obnova_tests::twins::Use;
use obnova_tests::{KeyKind, Made, News, Scene};
use openssl::pkey::PKey;
use tokio::process::Command;

const PASSWORD: &str = "geheim";
const YES: &str = "consent=renewal:yes\n";

/// A certificate of the authority for a key of Anna's, or of whoever it is.
fn issued(stand_in: &StandIn, holder: &str, kind: KeyKind, days_left: i64) -> Made {
    let key = kind.generate();
    let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
    let usage = if matches!(kind, KeyKind::Rsa(_)) { Use::Everyday } else { Use::Agreeing };
    Made { certificate: stand_in.issued(holder, &public, usage, days_left), key }
}

fn configured(scene: &Scene, stand_in: &StandIn, change: impl FnOnce(&str) -> String) -> Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    stand_in.write_programme("web", &directory.join("programmes.d/web.toml"), change);
    std::fs::write(directory.join("obnova.toml"), "").expect("written");
    let mut command = scene.obnovad();
    command.arg("--config").arg(directory.join("obnova.toml")).env("OBNOVA_LOG", "debug");
    command
}

/// Anna's pair of PEM files, in a directory that is watched.
async fn watched(scene: &Scene, stand_in: &StandIn) -> Made {
    let old = issued(stand_in, "Anna Novak", KeyKind::P256, 20);
    scene.write("anna.crt", old.pem());
    scene.write("anna.key", old.key_pem());
    scene.obnova(&["watch", scene.files().to_str().expect("UTF-8")]).await.ends(0);
    old
}

/// Waits until the renewal waits for the page.
async fn waits_for_the_page(scene: &Scene) -> obnova_api::ItemView {
    scene
        .item("it waits for the page", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "at-page")
        })
        .await
}

/// What another program brings: a new pair under other names.
fn brought(scene: &Scene, new: &Made) {
    scene.write("from-the-page.key", new.key_pem());
    scene.write("from-the-page.crt", new.pem());
}

#[tokio::test]
async fn what_the_page_makes_is_noticed_and_taken_into_use() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    let old = watched(&scene, &stand_in).await;
    let plan = scene.obnova(&["renew", "Anna Novak", "--dry-run"]).await.ends(0);
    assert!(plan.out.contains("renew at the authority") && plan.out.contains("/renew"), "{plan:?}");
    let outcome = scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("The new certificates are awaited"), "{outcome:?}");
    let item = waits_for_the_page(&scene).await;
    assert_eq!(item.next_step.expect("a next step").what, "renew-at-page");
    assert_eq!(stand_in.counted().requests, 0, "nobody speaks with it");

    let new = issued(&stand_in, "Anna Novak", KeyKind::P256, 365);
    brought(&scene, &new);
    scene.item("the renewal is done", |item| item.kind == "renewal" && item.state == "done").await;
    let item = scene.item("the new one", |item| item.kind == "identity" && item.state == "valid").await;
    let certificates = item.certificates.expect("certificates");
    assert_eq!(certificates.iter().map(|one| one.sha256.clone()).collect::<Vec<_>>(), [new.sha256()]);
    assert_eq!(scene.contents()["anna.key"], old.key_pem(), "the old key stays");
    let retired = scene.obnova(&["list", "--all", "--json"]).await.ends(0).json();
    let is_old = |item: &serde_json::Value| item["certificates"][0]["sha256"] == old.sha256().as_str();
    let retired = retired.as_array().expect("a list").iter().find(|item| is_old(item)).expect("the old one");
    assert_eq!(retired["state"], "retired");
}

/// In the very place of the old one: the old one is known from the renewal's own record.
#[tokio::test]
async fn what_is_put_in_the_old_one_s_place_is_noticed_too() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    watched(&scene, &stand_in).await;
    scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    let new = issued(&stand_in, "Anna Novak", KeyKind::P256, 365);
    scene.write("anna.key", new.key_pem());
    scene.write("anna.crt", new.pem());
    scene.item("the renewal is done", |item| item.kind == "renewal" && item.state == "done").await;
    scene.item("the new one", |item| item.kind == "identity" && item.state == "valid").await;
}

/// A key under a password is tried before it is used: the person is asked, after a click.
#[tokio::test]
async fn a_protected_key_is_tried_with_its_password() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    watched(&scene, &stand_in).await;
    scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    let new = issued(&stand_in, "Anna Novak", KeyKind::P256, 365);
    scene.write("from-the-page.key", new.key_pem_protected(PASSWORD));
    scene.write("from-the-page.crt", new.pem());
    scene
        .item("it waits for the person", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "no-agent")
        })
        .await;
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
}

/// It came before anybody asked for it, or while nobody looked: warnings end all the same, and nothing is left to renew.
#[tokio::test]
async fn what_was_renewed_before_needs_no_renewal() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    let mut daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    watched(&scene, &stand_in).await;
    scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(daemon.stop().await.success());
    brought(&scene, &issued(&stand_in, "Anna Novak", KeyKind::P256, 365));
    let news = News::on(&scene.bus).await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.item("the renewal is done", |item| item.kind == "renewal" && item.state == "done").await;
    let item = scene.item("the new one", |item| item.kind == "identity" && item.state == "valid").await;
    scene.settle(&news).await;
    assert!(!news.events().iter().any(|event| event.starts_with("expiring")), "{:?}", news.events());
    let refused = scene.obnova(&["renew", &item.id, "--dry-run"]).await;
    assert_eq!(refused.code, 0, "a valid one may be renewed, too: {refused:?}");
}

/// What is not what was asked for is put to the person, or refused.
#[tokio::test]
async fn what_is_wrong_is_not_taken() {
    for (check, brought_as) in [("strength", KeyKind::Rsa(2048)), ("chain", KeyKind::P256)] {
        let stand_in = StandIn::start();
        let scene = Scene::set().await;
        let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        let old = watched(&scene, &stand_in).await;
        scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
        // Others call themselves the same.
        let from = if check == "chain" { &StandIn::start() } else { &stand_in };
        brought(&scene, &issued(from, "Anna Novak", brought_as, 365));
        let refused = |item: &obnova_api::ItemView| {
            let problem = item.problem.as_ref().filter(|problem| problem.kind == "not-verified");
            item.kind == "renewal" && problem.is_some_and(|problem| problem.args["check"] == check)
        };
        let item = scene.item("it is refused", refused).await;
        assert_eq!(item.state, "waiting", "{check}");
        assert_eq!(scene.contents()["anna.key"], old.key_pem());
    }
}

/// Killed at three instants of every step: the end is the same.
#[tokio::test]
async fn a_killed_daemon_takes_it_into_use_all_the_same() {
    let instants = ["intended", "acted", "done"];
    let all = ["await-issue", "fetch", "verify", "install", "retire-old"].map(|step| instants.map(|instant| (step, instant)));
    // It has been intended for long when something comes.
    for (step, instant) in all.into_iter().flatten().filter(|point| *point != ("await-issue", "intended")) {
        let stand_in = StandIn::start();
        let scene = Scene::set().await;
        let daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        watched(&scene, &stand_in).await;
        scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
        drop(daemon);
        let mut command = configured(&scene, &stand_in, str::to_owned);
        command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
        let mut daemon = scene.start_as(command).await;
        brought(&scene, &issued(&stand_in, "Anna Novak", KeyKind::P256, 365));
        daemon.ended().await;
        let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
        scene.item("the renewal is done", |item| item.kind == "renewal" && item.state == "done").await;
        scene.item("the new one", |item| item.kind == "identity" && item.state == "valid").await;
    }
}
