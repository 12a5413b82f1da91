//! The same pairs, renewed by an authority in the network: each request signed by the old key of its role on the card, both of them in
//! one message, judged by OpenSSL alone.

use obnova_tests::authority::{Counted, StandIn};
use obnova_tests::token::{PIN, SoftToken};
use obnova_tests::twins::Use;
use obnova_tests::{CardKind, KeyKind, Scene};
use tokio::process::Command;

use super::listed;
use super::piv::Annas;

/// The two roles of the sources' twins in place of the example's one, and a PIN.
fn of_twins(text: &str) -> String {
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

fn configured(scene: &Scene, stand_in: &StandIn, configuration: &str) -> Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    stand_in.write_programme("signed-request", &directory.join("programmes.d/signed-request.toml"), of_twins);
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
