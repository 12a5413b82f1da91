//! Keys: made and imported, used as their policies say, moved, kept.

use obnova_tests::CardKind;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire, find, object, public_key};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Verifier;

use super::new_card;

/// Lets a key sign a sentence, and holds the signature against its public half.
async fn signs(wire: &mut Wire, slot: u8, algorithm: Algorithm, key: &PKeyRef<Public>) {
    let sentence = b"by this very key";
    let digest = if algorithm == Algorithm::P384 { MessageDigest::sha384() } else { MessageDigest::sha256() };
    let hashed = hash(digest, sentence).expect("a hash");
    let message = if let Ok(rsa) = key.rsa() {
        // PKCS #1 v1.5: DigestInfo of SHA-256 (RFC 8017, 9.2), padded.
        let info = [b"\x30\x31\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20", &hashed[..]].concat();
        let padding = vec![0xFF; rsa.size() as usize - info.len() - 3];
        [&[0, 1], &padding[..], &[0], &info].concat()
    } else {
        hashed.to_vec()
    };
    let signature = wire.sign(slot, algorithm, &message).await.ok();
    let mut verifier = Verifier::new(digest, key).expect("a verifier");
    assert!(verifier.verify_oneshot(&signature, sentence).expect("verified"), "{slot:02X} {algorithm:?}");
}

fn public_half(key: &PKeyRef<Private>) -> PKey<Public> {
    PKey::public_key_from_der(&key.public_key_to_der().expect("a key")).expect("a key")
}

fn elliptic(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

#[tokio::test]
async fn generated_keys_sign_in_every_kind_of_card() {
    for kind in [CardKind::Moves, CardKind::Generates, CardKind::Strict] {
        let (mut wire, _state) = new_card(kind).await;
        wire.administer().await;
        for (slot, algorithm) in [(0x9A, Algorithm::Rsa2048), (0x9C, Algorithm::P256), (0x9D, Algorithm::P384)] {
            let key = wire.generate(slot, algorithm, PinPolicy::Usual).await;
            if kind == CardKind::Moves {
                let metadata = wire.metadata(slot).await.ok();
                assert!(public_key(algorithm, find(&metadata, 4)).public_eq(&key));
            }
            assert_eq!(wire.verify("123456").await, 0x9000);
            signs(&mut wire, slot, algorithm, &key).await;
        }
    }
}

#[tokio::test]
async fn imported_keys_sign_and_the_card_goes_on() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key");
    let keys = [
        (0x9A, Algorithm::Rsa2048, rsa(2048)),
        (0x9C, Algorithm::P256, elliptic(Nid::X9_62_PRIME256V1)),
        (0x9D, Algorithm::Rsa3072, rsa(3072)),
        (0x82, Algorithm::P384, elliptic(Nid::SECP384R1)),
        (0x95, Algorithm::Rsa4096, rsa(4096)),
    ];
    assert_eq!(wire.verify("123456").await, 0x9000);
    wire.administer().await;
    for (slot, _, key) in &keys {
        wire.import(*slot, key, PinPolicy::Usual).await;
        assert_eq!(wire.tries().await, 0x9000, "PIN and management key stay proved");
    }
    for (slot, algorithm, key) in &keys {
        let metadata = wire.metadata(*slot).await.ok();
        assert_eq!(metadata[7..10], [3, 1, 2], "imported");
        assert!(public_key(*algorithm, find(&metadata, 4)).public_eq(key));
        if *slot == 0x9C {
            assert_eq!(wire.sign(0x9C, Algorithm::P256, &[1; 32]).await.status, 0x6982);
            assert_eq!(wire.verify("123456").await, 0x9000);
        }
        signs(&mut wire, *slot, *algorithm, &public_half(key)).await;
    }
}

/// As a letter to another key may be: refused, and the card goes on.
#[tokio::test]
async fn what_is_not_below_the_modulus_is_refused() {
    let (mut wire, _state) = new_card(CardKind::Generates).await;
    wire.administer().await;
    let key = wire.generate(0x9D, Algorithm::Rsa2048, PinPolicy::Usual).await;
    assert_eq!(wire.verify("123456").await, 0x9000);
    assert_eq!(wire.sign(0x9D, Algorithm::Rsa2048, &[0xFF; 256]).await.status, 0x6A80);
    signs(&mut wire, 0x9D, Algorithm::Rsa2048, &key).await;
}

#[tokio::test]
async fn what_was_encrypted_to_a_key_opens() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    let rsa = wire.generate(0x9D, Algorithm::Rsa2048, PinPolicy::Usual).await;
    let curve = wire.generate(0x82, Algorithm::P384, PinPolicy::Usual).await;
    assert_eq!(wire.verify("123456").await, 0x9000);
    let mut encrypted = vec![0; 256];
    rsa.rsa().expect("RSA").public_encrypt(b"old mail", &mut encrypted, Padding::PKCS1).expect("encrypted");
    let padded = wire.sign(0x9D, Algorithm::Rsa2048, &encrypted).await.ok();
    assert!(padded.starts_with(&[0, 2]) && padded.ends_with(b"\x00old mail"));

    let other = elliptic(Nid::SECP384R1);
    let key = other.ec_key().expect("a curve");
    let mut context = openssl::bn::BigNumContext::new().expect("a context");
    let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
    let point = key.public_key().to_bytes(key.group(), form, &mut context).expect("a point");
    let template = object(0x7C, &[object(0x82, &[]), object(0x85, &point)].concat());
    let agreed = wire.send([0, 0x87, 0x14, 0x82], &template).await.ok();
    let mut deriver = Deriver::new(&other).expect("a deriver");
    deriver.set_peer(&curve).expect("a peer");
    assert_eq!(find(find(&agreed, 0x7C), 0x82), deriver.derive_to_vec().expect("derived"));
}

#[tokio::test]
async fn a_key_is_used_as_its_policy_says() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    for (slot, policy) in [(0x9A, PinPolicy::Once), (0x9D, PinPolicy::Always), (0x9E, PinPolicy::Never)] {
        wire.generate(slot, Algorithm::P256, policy).await;
    }
    let mut uses = async |slot| wire.sign(slot, Algorithm::P256, &[1; 32]).await.status;
    assert_eq!([uses(0x9A).await, uses(0x9D).await, uses(0x9E).await], [0x6982, 0x6982, 0x9000]);
    assert_eq!(uses(0x9C).await, 0x6A80, "no key");
    assert_eq!(wire.sign(0x9E, Algorithm::P384, &[1; 48]).await.status, 0x6A80, "another algorithm");
    assert_eq!(wire.verify("123456").await, 0x9000);
    wire.sign(0x9D, Algorithm::P256, &[1; 32]).await.ok();
    assert_eq!(wire.sign(0x9D, Algorithm::P256, &[1; 32]).await.status, 0x6982, "the PIN before each use");
    wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.ok();
    wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.ok();
    assert_eq!(wire.verify("123456").await, 0x9000);
    assert_eq!(wire.tries().await, 0x9000);
    assert_eq!(wire.sign(0x9D, Algorithm::P256, &[1; 32]).await.status, 0x6982, "immediately before");
}

#[tokio::test]
async fn a_key_moves_with_its_policy() {
    let (mut wire, state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    let strict = wire.generate(0x9C, Algorithm::P256, PinPolicy::Usual).await;
    let lax = wire.generate(0x82, Algorithm::P256, PinPolicy::Usual).await;
    assert_eq!(wire.move_key(0x9C, 0x82).await, 0x6A80, "there is a key already");
    assert_eq!(wire.move_key(0x9C, 0x9B).await, 0x6B00);
    assert_eq!(wire.move_key(0x84, 0x85).await, 0x6A88, "there is no key");
    assert_eq!(wire.move_key(0x9C, 0x83).await, 0x9000);
    assert_eq!(wire.move_key(0x82, 0x9C).await, 0x9000);
    wire.close().await;

    let mut wire = Wire::open(CardKind::Moves, state.path()).await;
    assert_eq!(wire.move_key(0x83, 0x84).await, 0x6982, "not without the management key");
    assert_eq!(wire.metadata(0x82).await.status, 0x6A88);
    for (slot, key, policy) in [(0x83, &strict, 3), (0x9C, &lax, 2)] {
        let metadata = wire.metadata(slot).await.ok();
        assert_eq!(find(&metadata, 2), [policy, 1], "{slot:02X}");
        assert!(public_key(Algorithm::P256, find(&metadata, 4)).public_eq(key));
        assert_eq!(wire.verify("123456").await, 0x9000);
        signs(&mut wire, slot, Algorithm::P256, key).await;
        let again = wire.sign(slot, Algorithm::P256, &[1; 32]).await.status;
        assert_eq!(again, if policy == 3 { 0x6982 } else { 0x9000 }, "{slot:02X}");
    }
    wire.administer().await;
    assert_eq!(wire.move_key(0x83, 0xFF).await, 0x9000);
    assert_eq!(wire.metadata(0x83).await.status, 0x6A88, "deleted");
    assert_eq!(wire.sign(0x83, Algorithm::P256, &[1; 32]).await.status, 0x6A80);
}

#[tokio::test]
async fn every_slot_can_be_filled_and_refilled() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    let slots: Vec<u8> = [0x9A, 0x9D, 0x9E].into_iter().chain(0x82..=0x93).collect();
    let mut keys = Vec::new();
    for slot in &slots {
        keys.push(wire.generate(*slot, Algorithm::P256, PinPolicy::Usual).await);
    }
    keys[0] = wire.generate(slots[0], Algorithm::P384, PinPolicy::Usual).await;
    assert_eq!(wire.verify("123456").await, 0x9000);
    for (slot, key) in slots.iter().zip(&keys) {
        let algorithm = if *slot == slots[0] { Algorithm::P384 } else { Algorithm::P256 };
        signs(&mut wire, *slot, algorithm, key).await;
    }
}

#[tokio::test]
async fn a_key_that_wants_a_touch_waits_for_it() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    wire.send([0, 0x47, 0, 0x9A], &object(0xAC, &[object(0x80, &[0x11]), object(0xAB, &[2])].concat())).await.ok();
    assert_eq!(find(&wire.metadata(0x9A).await.ok(), 2), [2, 2]);
    assert_eq!(wire.verify("123456").await, 0x9000);
    let template = object(0x7C, &[object(0x82, &[]), object(0x81, &[1; 32])].concat());
    let apdu = [&[0, 0x87, 0x11, 0x9A, u8::try_from(template.len()).expect("short")], &template[..], &[0]].concat();
    assert_eq!(wire.card.executed().await.get("sign"), None);
    let answer = wire.transmit_and(&apdu, async |card| card.touch().await).await.expect("an answer");
    assert!(answer.ends_with(&[0x90, 0x00]), "{answer:02X?}");
    assert_eq!(wire.card.executed().await["sign"], 1);
}
