//! An authority that fails in every way, or somebody who pretends to be it: nothing wrong is installed, the problem says what is
//! wrong, and when it works again, the same renewal goes on to its end.

use obnova_tests::authority::{Fault, Manner, StandIn};
use obnova_tests::{KeyKind, Scene};

use super::{ANSWERS, PASSWORD, annas, configured, renewed};

/// What goes wrong, the problem that it is, and an argument of it.
const TABLE: &[(Fault, &str, &str)] = &[
    (Fault::Late, "authority-silent", "2"),
    (Fault::Garbage, "authority-answer", "no certificates"),
    (Fault::Half, "authority-answer", ""),
    (Fault::Endless, "authority-answer", "bytes"),
    (Fault::OtherKey, "not-verified", "key"),
    (Fault::Weaker, "not-verified", "key"),
    (Fault::Expired, "not-verified", "validity"),
    (Fault::SameSerial, "not-verified", "serial"),
    (Fault::OtherHolder, "not-verified", "holder"),
    (Fault::OtherUse, "not-verified", "usage"),
    (Fault::OtherChain, "not-verified", "chain"),
    (Fault::Broken, "authority-busy", "500"),
    (Fault::Busy, "authority-busy", "503"),
    (Fault::Redirects, "authority-redirects", "https://elsewhere.example/renew"),
    (Fault::Refuses, "authority-refused", "403"),
    (Fault::Mute, "authority-answer", ""),
    (Fault::Revokes, "not-verified", "revocation"),
];

async fn survives(fault: Fault, kind: &str, argument: &str) {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let hurried = |text: &str| text.replace("timeout-seconds = 60", "timeout-seconds = 2");
    let patient = fault != Fault::Late;
    let change = |text: &str| if patient { text.to_owned() } else { hurried(text) };
    let _daemon = scene.start_as(configured(&scene, &stand_in, change)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let before = scene.contents();
    stand_in.fails(Some(fault));
    let answers = format!("{ANSWERS}consent=differences:no\n");
    let outcome = scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    let item = scene.item("a renewal that waits", |item| item.kind == "renewal" && item.state == "waiting").await;
    let problem = item.problem.expect("a problem");
    let args = problem.args;
    assert_eq!(problem.kind, kind, "{fault:?}: {outcome:?}");
    assert!(args.values().any(|value| value.contains(argument)), "{fault:?}: {args:?}");
    assert_eq!(scene.contents(), before, "{fault:?}: nothing is installed");

    // It works again: the same renewal, one request, one certificate.
    stand_in.fails(None);
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    let counted = stand_in.counted();
    assert_eq!((counted.requests, counted.again, counted.certificates), (1, 0, 1), "{fault:?}");
    assert!(renewed(&scene).expect("a new file").fits(), "{fault:?}");
}

macro_rules! survives {
    ($($name:ident: $faults:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            for (fault, kind, argument) in TABLE.iter().filter(|(fault, _, _)| $faults.contains(fault)) {
                survives(*fault, kind, argument).await;
            }
        })*

        #[test]
        fn every_fault_is_tried() {
            let tried: Vec<Fault> = [$($faults.as_slice()),*].concat();
            assert!(TABLE.iter().all(|(fault, _, _)| tried.contains(fault)));
        }
    };
}

survives! {
    answers_that_never_end_well: [Fault::Late, Fault::Half, Fault::Endless, Fault::Mute];
    answers_that_are_no_certificate: [Fault::Garbage, Fault::Broken, Fault::Busy, Fault::Redirects, Fault::Refuses];
    certificates_of_another: [Fault::OtherKey, Fault::Weaker, Fault::OtherHolder, Fault::OtherChain];
    certificates_that_are_wrong: [Fault::Expired, Fault::SameSerial, Fault::OtherUse, Fault::Revokes];
}

#[tokio::test]
async fn a_server_of_another_name_gets_nothing() {
    let stand_in = StandIn::start_as(Manner { name: "elsewhere.example", ..Manner::default() });
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let outcome = scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("does not prove to be the authority"), "{outcome:?}");
    assert_eq!(stand_in.counted().requests, 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_such() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    // Nobody listens on port 1.
    let away = |text: &str| {
        let parts = text.split("https://localhost:").collect::<Vec<_>>();
        parts
            .iter()
            .enumerate()
            .map(|(at, part)| match at {
                0 => (*part).to_owned(),
                _ => format!("https://localhost:1{}", part.trim_start_matches(|digit: char| digit.is_ascii_digit())),
            })
            .collect()
    };
    let _daemon = scene.start_as(configured(&scene, &stand_in, away)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let outcome = scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{outcome:?}").contains("cannot be reached"), "{outcome:?}");
}
