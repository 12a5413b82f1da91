//! The daemon killed at three instants of every step: the authority's own count is exactly one.

use obnova_api::Options;
use obnova_tests::authority::{Counted, StandIn};
use obnova_tests::{Agent, KeyKind, Scene};
use tokio::process::Command;

use super::{PASSWORD, annas, configured_for, renewed};

/// Kills it there; the next daemon finishes what it finds.
async fn killed(instant: &str, change: fn(&str) -> String) {
    for step in ["request", "submit", "await-issue", "fetch", "verify", "install"] {
        survives(step, instant, |scene, stand_in| configured_for("signed-request", scene, stand_in, change)).await;
    }
}

/// A daemon of this configuration is killed at an instant of a step, and one certificate is what the authority makes.
pub(super) async fn survives(step: &str, instant: &str, configured: impl Fn(&Scene, &StandIn) -> Command) {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let mut command = configured(&scene, &stand_in);
    command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
    let mut daemon = scene.start_as(command).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let agent = Agent::with_secret(&scene.bus, PASSWORD).await;
    agent.register(false).await;
    let item = scene.item("the certificate", |item| item.kind == "identity").await;
    match agent.manager().await.act(&item.id, "renew", &Options::default()).await {
        Ok(_) | Err(obnova_api::Error::Bus(_)) => {}
        Err(error) => panic!("{error}"),
    }
    daemon.ended().await;
    agent.leave().await;

    let _daemon = scene.start_as(configured(&scene, &stand_in)).await;
    let renewal = scene.item("it waits or has ended", |item| item.kind == "renewal" && item.state != "running").await;
    if renewal.state != "done" {
        scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    }
    let when = format!("killed at {step}:{instant}");
    assert_eq!(stand_in.counted(), Counted { requests: 1, again: 0, certificates: 1 }, "{when}");
    assert!(renewed(&scene).expect("a new file").fits(), "{when}");
}

/// The server can be asked which orders it has.
fn asked(text: &str) -> String {
    text.to_owned()
}

/// It cannot: what is in the renewal's own files must tell.
fn unasked(text: &str) -> String {
    text.replace("orders = ", "# orders = ")
}

#[tokio::test]
async fn when_it_has_said_what_it_will_do() {
    killed("intended", asked).await;
}

#[tokio::test]
async fn when_it_has_done_it() {
    killed("acted", asked).await;
}

#[tokio::test]
async fn when_it_has_said_that_it_is_done() {
    killed("done", asked).await;
}

#[tokio::test]
async fn when_it_has_said_what_it_will_do_and_the_server_tells_nothing() {
    killed("intended", unasked).await;
}

#[tokio::test]
async fn when_it_has_done_it_and_the_server_tells_nothing() {
    killed("acted", unasked).await;
}
