//! What a renewal does at a card, step by step, on each of the three kinds.

use openssl::encrypt::Encrypter;
use openssl::rsa::Padding;

use super::*;

fn encrypted(key: &PKey<Public>, message: &[u8]) -> Bytes {
    let mut encrypter = Encrypter::new(key).expect("an encrypter");
    encrypter.set_rsa_padding(Padding::PKCS1).expect("a padding");
    let mut ciphertext = vec![0; encrypter.encrypt_len(message).expect("a length")];
    let length = encrypter.encrypt(message, &mut ciphertext).expect("encrypted");
    ciphertext.truncate(length);
    Bytes(ciphertext)
}

async fn decrypts(scene: &mut Scene, at: &str, key: &PKey<Public>, ciphertext: &Bytes) {
    let step = CardStep::Decrypt { spot: spot(at), public_key: spki(key), ciphertext: ciphertext.clone() };
    assert_eq!(scene.step(&step).await, Ok(CardAnswer::Plain { plain: Bytes(b"for old mail".to_vec()) }), "{at}");
}

#[tokio::test]
async fn twins_are_swapped_where_keys_move() {
    let mut scene = Scene::new(CardKind::Moves).await;
    let old = [scene.old("9a").clone(), scene.old("9c").clone(), scene.old("9d").clone()];
    let letters = [encrypted(&key_of(&old[0]), b"for old mail"), encrypted(&key_of(&old[2]), b"for old mail")];
    let mut news = Vec::new();
    for (at, to, archive, algorithm) in [("82", "9a", "84", KeyAlgorithm::Rsa(2048)), ("83", "9c", "85", KeyAlgorithm::P256)] {
        let key = scene.generate(at, algorithm, to).await.expect("a key");
        let again = scene.generate(at, algorithm, to).await;
        assert_eq!(again.map(|key| key.bits()), Err(CardError::Occupied { spot: spot(at) }));
        scene.signs(at, &key).await.expect("the new key signs");
        scene.signs(to, &key_of(scene.old(to))).await.expect("the old key still signs");
        let new = scene.issue(&key);
        assert_eq!(scene.step(&install(at, &new)).await, DONE);
        news.push((at, to, archive, new));
    }
    for ((at, to, archive, new), old) in news.iter().zip(&old) {
        let swap = CardStep::Promote { from: spot(at), to: spot(to), archive: spot(archive), new: der(new), old: der(old) };
        assert_eq!(scene.step(&swap).await, DONE);
        assert_eq!(scene.step(&swap).await, DONE, "a second time");
        scene.signs(to, &key_of(new)).await.expect("the new key signs in its place");
        scene.signs(archive, &key_of(old)).await.expect("the old key is kept");
    }
    decrypts(&mut scene, "84", &key_of(&old[0]), &letters[0]).await;
    decrypts(&mut scene, "9d", &key_of(&old[2]), &letters[1]).await;
    let card = scene.look().await;
    for (at, to, archive, new) in &news {
        assert_eq!(state(&card, at).key, Presence::Free);
        assert_eq!(state(&card, at).certificate, None);
        assert_eq!(state(&card, to).certificate, Some(der(new)));
        assert!(state(&card, archive).certificate.is_some());
    }
    assert_eq!(state(&card, "9c").always, Some(true), "the new key demands the PIN each time as the old one did");
    assert_eq!(state(&card, "85").always, Some(true), "and so does the old one still");
    // Retired keys are shown by OpenSC only as far as Key History says.
    let module = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";
    let listed = scene.readers.run("pkcs11-tool", &["--module", module, "--list-objects", "--type", "cert"]).await.ends(0);
    assert_eq!(listed.out.matches("Certificate Object").count(), 5, "{}", listed.out);
    assert!(scene.is_closed().await);
}

#[tokio::test]
async fn a_new_decryption_key_stands_beside_the_old_one_where_keys_do_not_move() {
    let mut scene = Scene::new(CardKind::Generates).await;
    for at in ["9a", "9c", "9d"] {
        let occupied = scene.generate(at, KeyAlgorithm::P256, at).await;
        assert_eq!(occupied.map(|key| key.bits()), Err(CardError::Occupied { spot: spot(at) }));
    }
    let without_pin = json!({ "management-key": MANAGEMENT_KEY });
    let step = CardStep::Generate { spot: spot("82"), algorithm: KeyAlgorithm::P384, like: spot("9d"), label: String::new() };
    assert_eq!(scene.line.step_with(&scene.place, &step, &without_pin).await, Err(CardError::PinNeeded {}));
    let key = scene.generate("82", KeyAlgorithm::P384, "9d").await.expect("a key");
    let again = scene.generate("82", KeyAlgorithm::P384, "9d").await;
    assert_eq!(again.map(|key| key.bits()), Err(CardError::Occupied { spot: spot("82") }), "without a certificate, too");
    assert_eq!(scene.card.executed().await["47"], 4, "three keys of old and this one");
    scene.signs("82", &key).await.expect("the new key signs");
    let new = scene.issue(&key);
    assert_eq!(scene.step(&install("82", &new)).await, DONE);
    assert_eq!(scene.step(&CardStep::Announce {}).await, DONE);
    let stranger = scene.issue(&key_of(scene.old("9a")));
    assert_eq!(scene.step(&install("82", &stranger)).await, Err(CardError::Occupied { spot: spot("82") }));
    let letter = encrypted(&key_of(scene.old("9d")), b"for old mail");
    let old = key_of(scene.old("9d"));
    decrypts(&mut scene, "9d", &old, &letter).await;
    let swap =
        CardStep::Promote { from: spot("82"), to: spot("9d"), archive: spot("83"), new: der(&new), old: der(scene.old("9d")) };
    assert!(matches!(scene.step(&swap).await, Err(CardError::Unsupported { .. })));
    let card = scene.look().await;
    assert_eq!(state(&card, "82").certificate, Some(der(&new)));
    for (name, certificate) in &scene.old {
        assert_eq!(state(&card, name).certificate, Some(der(certificate)), "{name}");
    }
}

#[tokio::test]
async fn a_plain_card_is_used_and_not_changed() {
    let mut scene = Scene::new(CardKind::Strict).await;
    let before = scene.look().await;
    for at in ["9a", "9c", "9d", "9e", "82"] {
        let made = scene.generate(at, KeyAlgorithm::P256, "9a").await;
        assert!(matches!(made, Err(CardError::Occupied { .. } | CardError::Unsupported { .. })), "{at}");
    }
    for (name, certificate) in scene.old.clone() {
        scene.signs(name, &key_of(&certificate)).await.expect("a signature");
    }
    assert_eq!(scene.look().await, before);
    assert_eq!(scene.card.executed().await["47"], 3, "the three keys of old");
    assert!(!scene.card.executed().await.contains_key("DB") || scene.card.executed().await["DB"] == 3, "nor any object");
}

#[tokio::test]
async fn elliptic_keys_agree() {
    let mut scene = Scene::new(CardKind::Moves).await;
    for (at, algorithm, length) in [("82", KeyAlgorithm::P256, 32), ("83", KeyAlgorithm::P384, 48)] {
        let key = scene.generate(at, algorithm, "9d").await.expect("a key");
        let kind = if length == 32 { obnova_tests::KeyKind::P256 } else { obnova_tests::KeyKind::P384 };
        let other = Recipe::new("Other").key(kind).make().key;
        let mut agreement = openssl::derive::Deriver::new(&other).expect("a deriver");
        agreement.set_peer(&key).expect("a peer");
        let expected = agreement.derive_to_vec().expect("a secret");
        let public = other.ec_key().expect("a curve");
        let mut context = openssl::bn::BigNumContext::new().expect("a context");
        let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
        let point = public.public_key().to_bytes(public.group(), form, &mut context).expect("a point");
        let step = CardStep::Decrypt { spot: spot(at), public_key: spki(&key), ciphertext: Bytes(point) };
        assert_eq!(expected.len(), length);
        assert_eq!(scene.step(&step).await, Ok(CardAnswer::Plain { plain: Bytes(expected) }));
    }
}
