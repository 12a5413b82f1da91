//! Pairs whose new keys and certificates other programs put on the card or the token, as an authority's page does: noticed, judged,
//! tried with one PIN, and used. Nothing is spoken with the authority.

use obnova_tests::authority::StandIn;
use obnova_tests::card::wire::PinPolicy;
use obnova_tests::token::{PIN, SoftToken};
use obnova_tests::twins::Use;
use obnova_tests::{CardKind, KeyKind, Scene};
use openssl::pkey::{PKey, Public};

use super::listed;
use super::network::{configured_for, of_twins};
use super::piv::Annas;

const YES: &str = "consent=renewal:yes\n";

async fn waits_for_the_page(scene: &Scene) {
    scene
        .item("it waits for the page", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "at-page")
        })
        .await;
}

/// `pkcs11-tool` makes keys beside the old ones and writes certificates beside those.
#[tokio::test]
async fn what_another_program_puts_on_a_token_is_used() {
    let stand_in = StandIn::start();
    let token = SoftToken::new("Anna");
    let put = |id: &str, label: &str, kind, usage, days, arguments: &[&str]| {
        let key = token.generate(id, label, kind, arguments);
        token.write(id, label, &stand_in.issued("Anna Novak", &key, usage, days));
    };
    let binding = ["--always-auth", "--usage-sign"];
    put("01", "qualified", KeyKind::Rsa(2048), Use::Binding, 20, &binding);
    put("02", "commercial", KeyKind::P256, Use::Agreeing, 20, &["--usage-sign", "--usage-derive"]);
    let before = token.objects();
    let scene = Scene::set().await;
    let _daemon = scene.start_as(configured_for("web", of_twins, &scene, &stand_in, &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    let old = listed(&scene).await;
    scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_for_the_page(&scene).await;

    // One of the two is none.
    put("03", "qualified new", KeyKind::Rsa(2048), Use::Binding, 365, &binding);
    scene.obnova_answering("", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    waits_for_the_page(&scene).await;
    put("04", "commercial new", KeyKind::P256, Use::Agreeing, 365, &["--usage-sign", "--usage-derive"]);
    scene.obnova_answering(&format!("pin={PIN}\n"), &["resume", "Anna Novak", "--wait"]).await.ends(0);
    let new = listed(&scene).await;
    assert!(new.len() == 2 && new.iter().all(|one| !old.contains(one)), "{new:?}");
    assert!(before.is_subset(&token.objects()), "nothing is gone");
    assert_eq!(stand_in.counted().requests, 0);
}

/// Yubico's tool makes keys in slots of its choice; the card is pulled and inserted, as after a visit to another computer.
#[tokio::test]
async fn what_another_program_puts_on_a_piv_card_is_noticed_when_it_is_inserted() {
    let stand_in = StandIn::start();
    let anna = Annas::issued_by(CardKind::Moves, |key, usage| stand_in.issued("Anna Novak", key, usage, 20)).await;
    let mut card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched_by(&scene, &configured_for("web", of_twins, &scene, &stand_in, "")).await;
    scene.obnova_answering(YES, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    waits_for_the_page(&scene).await;
    put_by_yubico(&anna, &stand_in, "82", "RSA2048", Use::Everyday, PinPolicy::Usual).await;
    put_by_yubico(&anna, &stand_in, "83", "ECCP256", Use::Binding, PinPolicy::Always).await;
    card.remove().await;
    card.insert().await;
    scene
        .item("the PIN is needed", |item| {
            item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == "no-agent")
        })
        .await;
    scene.obnova_answering("pin=123456\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    let item = scene.item("the new pair", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates").len(), 2);
}

/// The same without a renewal of ours: the warnings end, and nothing is left to renew.
#[tokio::test]
async fn a_pair_that_was_renewed_elsewhere_is_known_and_can_be_adopted() {
    let stand_in = StandIn::start();
    let anna = Annas::issued_by(CardKind::Moves, |key, usage| stand_in.issued("Anna Novak", key, usage, 20)).await;
    let mut card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched_by(&scene, &configured_for("web", of_twins, &scene, &stand_in, "")).await;
    scene.item("it ends soon", |item| item.kind == "identity" && item.state == "expiring").await;
    put_by_yubico(&anna, &stand_in, "82", "RSA2048", Use::Everyday, PinPolicy::Usual).await;
    put_by_yubico(&anna, &stand_in, "83", "ECCP256", Use::Binding, PinPolicy::Always).await;
    card.remove().await;
    card.insert().await;
    let item = scene.item("the new pair", |item| item.kind == "identity" && item.state == "valid").await;
    let answers = format!("{YES}pin=123456\n");
    scene.obnova_answering(&answers, &["adopt", &item.id, &anna.place().await]).await.ends(0);
    scene.item("it is adopted", |item| item.kind == "renewal" && item.state == "done").await;
}

/// A key and its certificate, put there by `yubico-piv-tool`.
async fn put_by_yubico(anna: &Annas, stand_in: &StandIn, slot: &str, algorithm: &str, usage: Use, policy: PinPolicy) {
    let policy = if matches!(policy, PinPolicy::Always) { "always" } else { "once" };
    let (public, certificate) = (anna.file("public.pem"), anna.file("certificate.pem"));
    let generate = ["-a", "generate", "-s", slot, "-A", algorithm, "--pin-policy", policy, "-o", &public];
    anna.by_yubico(&generate).await;
    let key: PKey<Public> = PKey::public_key_from_pem(&std::fs::read(&public).expect("read")).expect("a public key");
    let new = stand_in.issued("Anna Novak", &key, usage, 365);
    std::fs::write(&certificate, new.to_pem().expect("PEM")).expect("written");
    anna.by_yubico(&["-a", "import-certificate", "-s", slot, "-i", &certificate]).await;
}
