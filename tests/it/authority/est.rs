//! Renewals by EST with the key in a file: the old key logs in, the new one has signed the request.

use obnova_tests::authority::{Counted, Fault, Manner, StandIn};
use obnova_tests::{KeyKind, Scene};
use tokio::process::Command;

use super::killed::survives;
use super::{ANSWERS, PASSWORD, annas, configured_for, renewed};

const ONE: Counted = Counted { requests: 1, again: 0, certificates: 1 };

fn configured(scene: &Scene, stand_in: &StandIn) -> Command {
    configured_for("est", scene, stand_in, str::to_owned)
}

#[tokio::test]
async fn a_certificate_in_a_file_is_renewed_by_est() {
    for kind in [KeyKind::P256, KeyKind::Rsa(2048), KeyKind::P384] {
        let stand_in = StandIn::start();
        let scene = Scene::set().await;
        annas(&stand_in, kind).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
        let _daemon = scene.start_as(configured(&scene, &stand_in)).await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
        assert_eq!(stand_in.counted(), ONE, "{kind:?}");
        assert!(renewed(&scene).expect("a new file").fits(), "{kind:?}");
    }
}

/// 202 with `Retry-After`, and the daemon restarted meanwhile: the very same request is posted again, and brings the one certificate.
#[tokio::test]
async fn a_request_that_waits_is_posted_again_after_a_restart() {
    let stand_in = StandIn::start_as(Manner { at_once: false, ..Manner::default() });
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let mut daemon = scene.start_as(configured(&scene, &stand_in)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    daemon.stop().await;
    stand_in.relents();
    let _daemon = scene.start_as(configured(&scene, &stand_in)).await;
    // To log in, the old key is needed, and for that the person.
    scene
        .item("it waits for the person", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "no-agent")
        })
        .await;
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    let counted = stand_in.counted();
    assert_eq!((counted.requests, counted.certificates), (1, 1), "{counted:?}");
    assert!(counted.again >= 1, "{counted:?}");
    assert!(renewed(&scene).expect("a new file").fits());
}

#[tokio::test]
async fn a_server_that_wants_another_key_is_told_before_anything_is_made() {
    let stand_in = StandIn::start();
    stand_in.fails(Some(Fault::OtherWishes));
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let _daemon = scene.start_as(configured(&scene, &stand_in)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let outcome = scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("wants something that our request would not have"), "{outcome:?}");
    assert_eq!(stand_in.counted().requests, 0);
}

/// Killed at three instants of the steps that reach the server: its own count is exactly one.
#[tokio::test]
async fn a_killed_daemon_gets_one_certificate() {
    for step in ["submit", "await-issue", "fetch"] {
        for instant in ["intended", "acted", "done"] {
            survives(step, instant, configured).await;
        }
    }
}
