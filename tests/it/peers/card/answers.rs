//! What kind of a card it is, as its answers show, and what it keeps.

use obnova_tests::CardKind;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire, certificate_object, find};

use super::new_card;

const KEY_HISTORY: u32 = 0x5F_C10C;
const PRINTED: u32 = 0x5F_C109;
const CHUID: u32 = 0x5F_C102;
const ALL: [CardKind; 3] = [CardKind::Moves, CardKind::Generates, CardKind::Strict];

#[tokio::test]
async fn nothing_is_answered_before_the_application_is_selected() {
    for kind in ALL {
        let (mut wire, _state) = new_card(kind).await;
        assert_eq!(wire.send([0, 0xA4, 4, 0], b"\xA0\x00\x00\x05\x27\x20\x01").await.status, 0x6A82);
        assert_eq!(wire.tries().await, 0x63C3, "{kind:?}: still selected");
        assert_eq!(wire.verify("123456").await, 0x9000);
        // A reset without a SELECT.
        wire.reset_unselected().await;
        assert_eq!(wire.tries().await, 0x6D00, "{kind:?}");
        for length in [5, 9, 11] {
            let aid = &b"\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00"[..length];
            assert_eq!(wire.send([0, 0xA4, 4, 0], aid).await.status, 0x9000, "{kind:?} {length}");
        }
        assert_eq!(wire.tries().await, 0x63C3, "{kind:?}: the PIN is forgotten");
    }
}

#[tokio::test]
async fn the_one_that_moves_keys_is_a_yubikey() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    assert_eq!(wire.send([0, 0xFD, 0, 0], &[]).await.ok(), [5, 7, 4]);
    assert_eq!(wire.send([0, 0xF8, 0, 0], &[]).await.ok().len(), 4);
    assert!(wire.atr().await.ends_with(b"YubiKey\x40"));
    for slot in [0x9A, 0x9C, 0x9D, 0x9E, 0x82, 0x95] {
        assert_eq!(wire.metadata(slot).await.status, 0x6A88, "{slot:02X}");
        assert_eq!(wire.read(certificate_object(slot)).await.status, 0x6A82, "{slot:02X}");
    }
    assert_eq!(wire.metadata(0x80).await.ok(), *b"\x01\x01\xFF\x05\x01\x01\x06\x02\x03\x03");
    assert_eq!(wire.metadata(0x81).await.ok(), *b"\x01\x01\xFF\x05\x01\x01\x06\x02\x03\x03");
    assert_eq!(wire.metadata(0x9B).await.ok(), *b"\x01\x01\x03\x02\x02\x00\x01\x05\x01\x01");
    // No fingers.
    assert_eq!(wire.metadata(0x96).await.status, 0x6A88);
    wire.administer().await;
    for slot in [0x9A, 0x9C, 0x9E, 0x95] {
        wire.generate(slot, Algorithm::P256, PinPolicy::Usual).await;
        let metadata = wire.metadata(slot).await.ok();
        let usual = if slot == 0x9C { 3 } else { 2 } - u8::from(slot == 0x9E);
        assert_eq!(metadata[..9], [1, 1, 0x11, 2, 2, usual, 1, 3, 1], "{slot:02X}");
        assert_eq!(find(&metadata, 4)[..3], [0x86, 65, 4]);
    }
}

#[tokio::test]
async fn the_one_that_only_generates_says_nothing_of_its_keys() {
    let (mut wire, _state) = new_card(CardKind::Generates).await;
    assert_eq!(wire.send([0, 0xFD, 0, 0], &[]).await.ok(), [6, 6, 6]);
    wire.administer().await;
    for slot in [0x9A, 0x82] {
        assert_eq!(wire.metadata(slot).await.ok().len(), 0, "{slot:02X} is empty");
        let first = wire.generate(slot, Algorithm::P256, PinPolicy::Usual).await;
        assert_eq!(wire.metadata(slot).await.ok().len(), 0, "{slot:02X} is not");
        let second = wire.generate(slot, Algorithm::P256, PinPolicy::Usual).await;
        assert!(!first.public_eq(&second), "it is replaced without a word");
    }
    assert_eq!(wire.move_key(0x9A, 0x83).await, 0x6A81);
    assert_eq!(wire.verify("123456").await, 0x9000);
    // What tells an empty slot from another on such a card.
    assert_eq!(wire.sign(0x82, Algorithm::P256, &[7; 32]).await.status, 0x9000);
    assert_eq!(wire.sign(0x83, Algorithm::P256, &[7; 32]).await.status, 0x6985);
    let (mut fresh, _state) = new_card(CardKind::Generates).await;
    assert_eq!(fresh.verify("123456").await, 0x9000);
    assert_eq!(fresh.sign(0x9A, Algorithm::P256, &[7; 32]).await.status, 0x6400, "of 9A it believes that there is a key");
}

#[tokio::test]
async fn the_strict_one_knows_the_standard_alone() {
    let (mut wire, _state) = new_card(CardKind::Strict).await;
    wire.administer().await;
    for instruction in 0xF0..=0xFF {
        assert_eq!(wire.send([0, instruction, 0, 0x9A], &[]).await.status, 0x6D00, "{instruction:02X}");
    }
    for slot in 0x82..=0x95 {
        let refused = wire.send([0, 0x47, 0, slot], &[0xAC, 3, 0x80, 1, 0x11]).await;
        assert_eq!(refused.status, 0x6A86, "{slot:02X}");
    }
    for slot in [0x9A, 0x9C, 0x9D, 0x9E] {
        wire.generate(slot, Algorithm::P256, PinPolicy::Usual).await;
    }
}

#[tokio::test]
async fn key_history_is_what_was_written() {
    for kind in ALL {
        let (mut wire, state) = new_card(kind).await;
        assert_eq!(wire.read(KEY_HISTORY).await.status, 0x6A82, "{kind:?}");
        assert_eq!(wire.write(KEY_HISTORY, &[1]).await, 0x6982, "{kind:?}");
        wire.administer().await;
        wire.write_certificate(0x82, b"a certificate that the applet would count").await;
        assert_eq!(wire.read(KEY_HISTORY).await.status, 0x6A82, "{kind:?}");
        let history = b"\xC1\x01\x07\xC2\x01\x00\xFE\x00";
        assert_eq!(wire.write(KEY_HISTORY, history).await, 0x9000);
        assert_eq!(wire.read(KEY_HISTORY).await.ok(), history);
        wire.close().await;
        let mut again = Wire::open(kind, state.path()).await;
        assert_eq!(again.read(KEY_HISTORY).await.ok(), history, "{kind:?}");
    }
}

#[tokio::test]
async fn objects_are_kept_protected_and_deleted_as_on_a_yubikey() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    assert_eq!(wire.write(0x5F_FF00, &[1]).await, 0x6982);
    assert_eq!(wire.read(PRINTED).await.status, 0x6982, "the PIN comes before the question what there is");
    assert_eq!(wire.verify("123456").await, 0x9000);
    assert_eq!(wire.read(PRINTED).await.status, 0x6A82);
    wire.administer().await;
    let largest: Vec<u8> = (0..=u8::MAX).cycle().take(3052).collect();
    for tag in [PRINTED, 0x5F_FF00, certificate_object(0x82)] {
        assert_eq!(wire.write(tag, &largest).await, 0x9000, "{tag:X}");
        assert_eq!(wire.read(tag).await.ok(), largest, "{tag:X}");
        assert_eq!(wire.write(tag, &[&largest[..], &[0]].concat()).await, 0x6A84, "{tag:X}");
        assert_eq!(wire.write(tag, &[]).await, 0x9000);
        assert_eq!(wire.read(tag).await.status, 0x6A82, "{tag:X} was deleted by writing nothing");
    }
    assert_eq!(wire.write(0x7E, &[1]).await, 0x6A80);
    // A command without Le gets 256 bytes at once, and is told of the rest.
    let chuid = wire.transmit(b"\x00\xCB\x3F\xFF\x05\x5C\x03\x5F\xC1\x02").await.expect("an answer");
    assert!(chuid.ends_with(&[0x90, 0x00]) && chuid.len() < 256, "{chuid:02X?}");
    assert_eq!(wire.write(0x5F_FF00, &largest[..600]).await, 0x9000);
    let piece = wire.transmit(b"\x00\xCB\x3F\xFF\x05\x5C\x03\x5F\xFF\x00").await.expect("an answer");
    assert_eq!((piece.len(), &piece[256..]), (258, [0x61, 0x00].as_slice()));
}

#[tokio::test]
async fn no_card_is_like_another() {
    let (mut first, _one) = new_card(CardKind::Moves).await;
    let (mut second, _two) = new_card(CardKind::Moves).await;
    let mut all = Vec::new();
    for wire in [&mut first, &mut second] {
        wire.administer().await;
        let key = wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await;
        let serial = wire.send([0, 0xF8, 0, 0], &[]).await.ok();
        all.push((serial, wire.read(CHUID).await.ok(), key.public_key_to_der().expect("a key")));
    }
    assert_ne!(all[0].0, all[1].0);
    assert_ne!(all[0].1, all[1].1);
    assert_ne!(all[0].2, all[1].2);
}
