//! The same pairs, renewed by an authority in the network: each request signed by the old key of its role on the card, both of them in
//! one message, judged by OpenSSL alone.

use obnova_api::Options;
use obnova_tests::authority::{Counted, StandIn};
use obnova_tests::token::{PIN, SoftToken};
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{Agent, CardKind, Daemon, KeyKind, Scene};
use openssl::pkey::{PKey, Public};
use tokio::process::Command;

use super::listed;
use super::piv::Annas;

/// The two roles of the sources' twins in place of the example's one, and a PIN.
pub(super) fn of_twins(text: &str) -> String {
    let (before, after) = text.split_once("\n[[match]]\n").expect("the example's role");
    let (_, after) = after.split_once("\n[key]\n").expect("the rest");
    let role = |name: &str, binding: bool| {
        format!(
            "[[match]]\nrole = \"{name}\"\nself-issued = false\nissuer = \"Obnova simulated authority\"\nnon-repudiation = {binding}\n"
        )
    };
    let text = format!("{before}\n{}{}[key]\n{after}", role("qualified", true), role("commercial", false));
    text.replace("kind = \"password\"", "kind = \"pin\"")
}

/// One role, that of the commercial certificate, which logs in; and a PIN.
fn of_one(text: &str) -> String {
    text.replace("[[match]]\nrole = \"general\"", "[[match]]\nrole = \"commercial\"\nnon-repudiation = false")
        .replace("kind = \"password\"", "kind = \"pin\"")
}

fn configured(scene: &Scene, stand_in: &StandIn, configuration: &str) -> Command {
    configured_for("signed-request", of_twins, scene, stand_in, configuration)
}

pub(super) fn configured_for(
    example: &str,
    change: fn(&str) -> String,
    scene: &Scene,
    stand_in: &StandIn,
    configuration: &str,
) -> Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    stand_in.write_programme(example, &directory.join(format!("programmes.d/{example}.toml")), change);
    std::fs::write(directory.join("obnova.toml"), configuration).expect("written");
    let mut command = scene.obnovad();
    command.arg("--config").arg(directory.join("obnova.toml")).env("OBNOVA_LOG", "debug");
    command
}

const BOTH: Counted = Counted { requests: 2, again: 0, certificates: 2 };

#[tokio::test]
async fn a_token_s_pair_is_renewed_over_the_network() {
    let stand_in = StandIn::start();
    let token = SoftToken::new("Anna");
    let qualified = token.generate("01", "qualified", KeyKind::Rsa(2048), &["--always-auth", "--usage-sign"]);
    let commercial = token.generate("02", "commercial", KeyKind::P256, &["--usage-sign", "--usage-derive"]);
    token.write("01", "qualified", &stand_in.issued("Anna Novak", &qualified, Use::Binding, 20));
    token.write("02", "commercial", &stand_in.issued("Anna Novak", &commercial, Use::Agreeing, 20));
    let before = token.objects();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured(&scene, &stand_in, &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let old = listed(&scene).await;
    let answers = format!("consent=renewal:yes\npin={PIN}\n");
    scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), BOTH);
    let new = listed(&scene).await;
    assert!(new.len() == 2 && new.iter().all(|one| !old.contains(one)), "{new:?}");
    assert!(before.is_subset(&token.objects()), "nothing is gone");
}

#[tokio::test]
async fn a_piv_card_s_pair_is_renewed_over_the_network() {
    let stand_in = StandIn::start();
    let anna = Annas::issued_by(CardKind::Moves, |key, usage| stand_in.issued("Anna Novak", key, usage, 20)).await;
    let _card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched_by(&scene, &configured(&scene, &stand_in, "")).await;
    scene.obnova_answering("consent=renewal:yes\npin=123456\n", &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), BOTH);
    for id in ["01", "02"] {
        let certificate = anna.certificate(id).await;
        assert!(certificate.verify(&stand_in.certificate().public_key().expect("a key")).expect("judged"), "{id}");
        assert!(certificate.not_after() > openssl::asn1::Asn1Time::days_from_now(300).expect("a time"), "{id} is the new one");
        anna.signs(id).await;
    }
}

const ONE: Counted = Counted { requests: 1, again: 0, certificates: 1 };

/// The old key logs in from the token: RSA by TLS 1.2, elliptic curves by TLS 1.3.
#[tokio::test]
async fn a_token_s_certificate_is_renewed_by_est() {
    for kind in [KeyKind::P256, KeyKind::Rsa(2048)] {
        let stand_in = StandIn::start();
        let token = SoftToken::new("Anna");
        let key = token.generate("02", "commercial", kind, &["--usage-sign"]);
        token.write("02", "commercial", &stand_in.issued("Anna Novak", &key, Use::Signing, 20));
        let before = token.objects();
        let scene = Scene::set().await;
        let _daemon = scene.start_as(configured_for("est", of_one, &scene, &stand_in, &token.configuration())).await;
        scene.obnova(&["watch", &token.place()]).await.ends(0);
        let answers = format!("consent=renewal:yes\npin={PIN}\n");
        scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(0);
        assert_eq!(stand_in.counted(), ONE, "{kind:?}");
        assert!(before.is_subset(&token.objects()), "nothing is gone");
    }
}

#[tokio::test]
async fn a_piv_card_s_certificate_is_renewed_by_est() {
    let stand_in = StandIn::start();
    let others = CardAuthority::named("Others");
    let issue = |key: &PKey<Public>, usage| match usage {
        Use::Binding => others.issue("Anna Novak", key, usage, 300),
        _ => stand_in.issued("Anna Novak", key, usage, 20),
    };
    let anna = Annas::issued_by(CardKind::Moves, issue).await;
    let _card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched_by(&scene, &configured_for("est", of_one, &scene, &stand_in, "")).await;
    let item = scene.item("the one that est renews", |item| item.programme.as_deref() == Some("est")).await;
    scene.obnova_answering("consent=renewal:yes\npin=123456\n", &["renew", &item.id, "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), ONE);
    let certificate = anna.certificate("01").await;
    assert!(certificate.not_after() > openssl::asn1::Asn1Time::days_from_now(300).expect("a time"), "it is the new one");
    anna.signs("01").await;
}

/// A daemon of this configuration is killed at an instant of a step; the next one finishes what it finds.
async fn killed(
    scene: &Scene,
    start: impl AsyncFn(&mut Command) -> Daemon,
    configured: impl Fn() -> Command,
    point: &str,
    (item, pin): (&str, &str),
) {
    let mut command = configured();
    command.env("OBNOVA_HALT_AT", point);
    let mut daemon = start(&mut command).await;
    let agent = Agent::with_secret(&scene.bus, pin).await;
    agent.register(false).await;
    let ours =
        |item: &obnova_api::ItemView, programme: &str| item.kind == "identity" && item.programme.as_deref() == Some(programme);
    let found = scene.item("what is renewed", |one| ours(one, item)).await;
    match agent.manager().await.act(&found.id, "renew", &Options::default()).await {
        Ok(_) | Err(obnova_api::Error::Bus(_)) => {}
        Err(error) => panic!("{error}"),
    }
    daemon.ended().await;
    agent.leave().await;
    let _daemon = start(&mut configured()).await;
    let renewal = scene.item("it waits or has ended", |item| item.kind == "renewal" && item.state != "running").await;
    if renewal.state != "done" {
        scene.obnova_answering(&format!("pin={pin}\n"), &["resume", &renewal.id, "--wait"]).await.ends(0);
    }
}

/// The steps that reach the server, and those before and after them.
const STEPS: [&str; 5] = ["request", "submit", "await-issue", "fetch", "install"];

async fn killed_with_a_token(example: &'static str, instant: &str) {
    for step in STEPS {
        let stand_in = StandIn::start();
        let token = SoftToken::new("Anna");
        let commercial = token.generate("02", "commercial", KeyKind::P256, &["--usage-sign", "--usage-derive"]);
        let usage = if example == "est" { Use::Signing } else { Use::Agreeing };
        token.write("02", "commercial", &stand_in.issued("Anna Novak", &commercial, usage, 20));
        if example != "est" {
            let qualified = token.generate("01", "qualified", KeyKind::Rsa(2048), &["--always-auth", "--usage-sign"]);
            token.write("01", "qualified", &stand_in.issued("Anna Novak", &qualified, Use::Binding, 20));
        }
        let before = token.objects();
        let scene = Scene::set().await;
        let change = if example == "est" { of_one } else { of_twins };
        let configured = || configured_for(example, change, &scene, &stand_in, &token.configuration());
        let start = async |command: &mut Command| {
            let daemon = scene.start_as(std::mem::replace(command, Command::new("true"))).await;
            scene.obnova(&["watch", &token.place()]).await.ends(0);
            daemon
        };
        killed(&scene, start, configured, &format!("{step}:{instant}"), (example, PIN)).await;
        let counted = if example == "est" { ONE } else { BOTH };
        assert_eq!(stand_in.counted(), counted, "{example}: killed at {step}:{instant}");
        assert!(before.is_subset(&token.objects()), "nothing is gone");
    }
}

macro_rules! killed_with_a_token {
    ($($name:ident: $example:literal, $instant:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            killed_with_a_token($example, $instant).await;
        })*
    };
}

killed_with_a_token! {
    a_token_s_pair_when_it_is_about_to: "signed-request", "intended";
    a_token_s_pair_when_it_has_done_it: "signed-request", "acted";
    a_token_s_pair_when_it_has_said_so: "signed-request", "done";
    a_token_s_certificate_by_est_when_it_is_about_to: "est", "intended";
    a_token_s_certificate_by_est_when_it_has_done_it: "est", "acted";
    a_token_s_certificate_by_est_when_it_has_said_so: "est", "done";
}

/// The same with a PIV card, at the instants at which the server may or may not know of it.
#[tokio::test]
async fn a_piv_card_s_pair_when_its_request_is_on_the_way() {
    for point in ["submit:intended", "submit:acted", "fetch:acted"] {
        let stand_in = StandIn::start();
        let anna = Annas::issued_by(CardKind::Moves, |key, usage| stand_in.issued("Anna Novak", key, usage, 20)).await;
        let _card = anna.insert().await;
        let scene = Scene::set().await;
        let configured = || configured_for("signed-request", of_twins, &scene, &stand_in, "");
        let start = async |command: &mut Command| anna.watched_by(&scene, command).await;
        killed(&scene, start, configured, point, ("signed-request", "123456")).await;
        assert_eq!(stand_in.counted(), BOTH, "killed at {point}");
        for id in ["01", "02"] {
            anna.signs(id).await;
        }
    }
}
