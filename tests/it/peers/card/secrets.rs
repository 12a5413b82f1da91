//! PIN, PUK and management key: their counters, and what follows from them.

use obnova_tests::CardKind;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire, padded};

use super::new_card;

async fn change(wire: &mut Wire, instruction: u8, reference: u8, first: &str, second: &str) -> u16 {
    wire.send([0, instruction, 0, reference], &[padded(first), padded(second)].concat()).await.status
}

#[tokio::test]
async fn a_wrong_pin_counts_once_and_the_third_blocks() {
    for kind in [CardKind::Moves, CardKind::Generates, CardKind::Strict] {
        let (mut wire, _state) = new_card(kind).await;
        assert_eq!(wire.verify("000000").await, 0x63C2);
        assert_eq!(wire.tries().await, 0x63C2, "asking costs nothing");
        wire.reset().await;
        assert_eq!(wire.tries().await, 0x63C2, "a reset gives nothing back");
        assert_eq!(wire.verify("12345").await, 0x6A80, "what cannot be a PIN is not counted");
        assert_eq!(wire.tries().await, 0x63C2);
        assert_eq!(wire.verify("123456").await, 0x9000);
        assert_eq!(wire.tries().await, 0x9000, "after the right one the tries are not told");
        wire.reset().await;
        assert_eq!(wire.tries().await, 0x63C3);
        for expected in [0x63C2, 0x63C1, 0x6983, 0x6983] {
            assert_eq!(wire.verify("000000").await, expected, "{kind:?}");
        }
        assert_eq!(wire.verify("123456").await, 0x6983, "{kind:?}: too late");
        assert_eq!(wire.tries().await, 0x63C0, "{kind:?}");
        assert_eq!(change(&mut wire, 0x2C, 0x80, "12345678", "654321").await, 0x9000, "{kind:?}");
        assert_eq!(wire.verify("123456").await, 0x63C2, "{kind:?}");
        assert_eq!(wire.verify("654321").await, 0x9000, "{kind:?}");
    }
}

#[tokio::test]
async fn metadata_follow_what_happens_to_pin_and_puk() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    let metadata = async |wire: &mut Wire, reference| wire.metadata(reference).await.ok()[3..].to_vec();
    assert_eq!(wire.verify("000000").await, 0x63C2);
    assert_eq!(metadata(&mut wire, 0x80).await, [5, 1, 1, 6, 2, 3, 2]);
    assert_eq!(change(&mut wire, 0x24, 0x80, "000000", "654321").await, 0x63C1);
    assert_eq!(metadata(&mut wire, 0x80).await, [5, 1, 1, 6, 2, 3, 1]);
    assert_eq!(change(&mut wire, 0x24, 0x80, "123456", "654321").await, 0x9000);
    assert_eq!(metadata(&mut wire, 0x80).await, [5, 1, 0, 6, 2, 3, 3]);
    assert_eq!(change(&mut wire, 0x24, 0x81, "00000000", "87654321").await, 0x63C2);
    assert_eq!(metadata(&mut wire, 0x81).await, [5, 1, 1, 6, 2, 3, 2]);
    assert_eq!(change(&mut wire, 0x24, 0x81, "12345678", "87654321").await, 0x9000);
    assert_eq!(metadata(&mut wire, 0x81).await, [5, 1, 0, 6, 2, 3, 3]);
    assert_eq!(change(&mut wire, 0x2C, 0x80, "87654321", "123456").await, 0x9000);
    assert_eq!(metadata(&mut wire, 0x80).await, [5, 1, 1, 6, 2, 3, 3]);
}

#[tokio::test]
async fn other_numbers_of_tries_can_be_set() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    assert_eq!(wire.send([0, 0xFA, 5, 8], &[]).await.status, 0x6982, "the PIN is lacking");
    assert_eq!(change(&mut wire, 0x24, 0x80, "123456", "654321").await, 0x9000);
    wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await;
    wire.send([0, 0xFA, 5, 8], &[]).await.ok();
    assert_eq!(wire.metadata(0x80).await.ok()[3..], [5, 1, 1, 6, 2, 5, 5]);
    assert_eq!(wire.metadata(0x81).await.ok()[3..], [5, 1, 1, 6, 2, 8, 8]);
    wire.reset().await;
    for left in [4, 3, 2, 1] {
        assert_eq!(wire.verify("654321").await, 0x63C0 + left);
    }
    assert_eq!(wire.verify("654321").await, 0x6983);
    assert_eq!(change(&mut wire, 0x2C, 0x80, "12345678", "123456").await, 0x9000);
    assert_eq!(wire.tries().await, 0x63C5);
    assert_eq!(wire.verify("123456").await, 0x9000);
    wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.ok();
}

#[tokio::test]
async fn the_management_key_may_be_of_any_algorithm() {
    let (mut wire, state) = new_card(CardKind::Moves).await;
    assert_eq!(wire.administer_with(0x03, &[9; 24]).await.status, 0x6982);
    assert_eq!(wire.send([0, 0x47, 0, 0x9A], &[0xAC, 3, 0x80, 1, 0x11]).await.status, 0x6982);
    let mut present = (0x03, b"\x01\x02\x03\x04\x05\x06\x07\x08".repeat(3));
    for (algorithm, length) in [(0x08, 16), (0x0A, 24), (0x0C, 32), (0x03, 24)] {
        wire.administer_with(present.0, &present.1).await.ok();
        let key = vec![algorithm ^ 0x55; length];
        let data = [&[algorithm, 0x9B, u8::try_from(length).expect("a length")], &key[..]].concat();
        wire.send([0, 0xFF, 0xFF, 0xFF], &data).await.ok();
        wire.close().await;
        wire = Wire::open(CardKind::Moves, state.path()).await;
        assert_eq!(wire.metadata(0x9B).await.ok(), [1, 1, algorithm, 2, 2, 0, 1, 5, 1, 0]);
        assert_eq!(wire.administer_with(algorithm, &vec![1; length]).await.status, 0x6982, "{algorithm:02X}");
        assert_eq!(wire.move_key(0x9A, 0x82).await, 0x6982, "not proved");
        present = (algorithm, key);
    }
    wire.administer_with(present.0, &present.1).await.ok();
    wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await;
    wire.reset().await;
    assert_eq!(wire.move_key(0x9A, 0x82).await, 0x6982, "a reset forgets it");
}

#[tokio::test]
async fn a_factory_reset_needs_both_blocked_and_forgets_all() {
    let (mut wire, _state) = new_card(CardKind::Moves).await;
    let serial = wire.send([0, 0xF8, 0, 0], &[]).await.ok();
    wire.administer().await;
    let key = wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await;
    assert_eq!(wire.move_key(0x9A, 0x82).await, 0x9000);
    wire.write_certificate(0x82, &[1, 2, 3]).await;
    assert_eq!(wire.send([0, 0xFB, 0, 0], &[]).await.status, 0x6985);
    for _ in 0..3 {
        wire.verify("000000").await;
    }
    assert_eq!(wire.send([0, 0xFB, 0, 0], &[]).await.status, 0x6985, "the PUK still helps");
    for expected in [0x63C2, 0x63C1, 0x63C0, 0x6983] {
        assert_eq!(change(&mut wire, 0x2C, 0x80, "00000000", "123456").await, expected);
    }
    wire.send([0, 0xFB, 0, 0], &[]).await.ok();
    assert_eq!(wire.move_key(0x82, 0x83).await, 0x6982, "the management key is not proved any more");
    assert_eq!(wire.metadata(0x82).await.status, 0x6A88);
    assert_eq!(wire.read(0x5F_C10D).await.status, 0x6A82);
    assert_eq!(wire.tries().await, 0x63C3);
    assert_eq!(wire.send([0, 0xF8, 0, 0], &[]).await.ok(), serial);
    wire.administer().await;
    assert!(!wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await.public_eq(&key));
    assert_eq!(wire.verify("123456").await, 0x9000);
    wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.ok();
}
