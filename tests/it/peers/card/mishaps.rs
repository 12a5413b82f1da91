//! What can be made to happen to the card: pulled, made to fail, counted, written down.

use obnova_tests::CardKind;
use obnova_tests::card::Fault;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire};

use super::new_card;

const GENERATE: [u8; 5] = [0xAC, 3, 0x80, 1, 0x11];

/// A card whose management key is proved and whose count begins.
async fn ready() -> (Wire, tempfile::TempDir) {
    let (mut wire, state) = new_card(CardKind::Moves).await;
    wire.administer().await;
    wire.card.reset_count().await;
    (wire, state)
}

async fn apdu(wire: &mut Wire) -> Option<Vec<u8>> {
    wire.transmit(&[&[0, 0x47, 0, 0x9A, 5], &GENERATE[..], &[0]].concat()).await
}

#[tokio::test]
async fn a_card_that_is_pulled_has_done_the_command_or_has_not() {
    for (fault, done) in [(Fault::Remove, false), (Fault::Remove.after(), true)] {
        let (mut wire, _state) = ready().await;
        wire.card.fails_at(1, &fault).await;
        assert_eq!(apdu(&mut wire).await, None, "{fault}");
        assert_eq!((wire.card.count().await, wire.card.fired().await), (1, 1));
        wire.insert().await;
        assert_eq!(wire.metadata(0x9A).await.status, if done { 0x9000 } else { 0x6A88 }, "{fault}");
        assert_eq!(wire.move_key(0x9A, 0x82).await, 0x6982, "{fault}: it lost its power");
    }
}

#[tokio::test]
async fn a_card_that_ends_is_there_again_with_all_that_it_did() {
    for (fault, done) in [(Fault::Exit, false), (Fault::Exit.after(), true)] {
        let (mut wire, state) = ready().await;
        wire.card.fails_at(1, &fault).await;
        assert_eq!(apdu(&mut wire).await, None, "{fault}");
        wire.card.ended().await;
        let mut again = Wire::open(CardKind::Moves, state.path()).await;
        assert_eq!(again.metadata(0x9A).await.status, if done { 0x9000 } else { 0x6A88 }, "{fault}");
        assert_eq!(again.card.executed().await.get("47").copied(), done.then_some(1), "{fault}");
    }
}

#[tokio::test]
async fn a_status_word_comes_instead_of_the_command_or_of_its_answer() {
    let (mut wire, _state) = ready().await;
    wire.card.fails_at(2, &Fault::Status(0x6F00)).await;
    wire.card.fails_at(4, &Fault::Status(0x6581).after()).await;
    assert_eq!(wire.metadata(0x9A).await.status, 0x6A88);
    assert_eq!(apdu(&mut wire).await, Some(vec![0x6F, 0x00]));
    assert_eq!(wire.metadata(0x9A).await.status, 0x6A88, "not performed");
    assert_eq!(apdu(&mut wire).await, Some(vec![0x65, 0x81]));
    assert_eq!(wire.metadata(0x9A).await.status, 0x9000, "performed");
    assert_eq!((wire.card.count().await, wire.card.fired().await), (5, 2));
    assert_eq!(wire.card.executed().await["47"], 1);
}

#[tokio::test]
async fn an_answer_may_go_wrong_for_ever() {
    let (mut wire, _state) = ready().await;
    wire.card.fails_from(2, &Fault::Answer(vec![1, 2, 3, 0x61, 0xFF])).await;
    wire.metadata(0x80).await.ok();
    for _ in 0..3 {
        assert_eq!(wire.transmit(&[0, 0xC0, 0, 0, 0]).await, Some(vec![1, 2, 3, 0x61, 0xFF]));
    }
    wire.card.works_again().await;
    wire.metadata(0x80).await.ok();
}

#[tokio::test]
async fn every_apdu_counts_also_the_pieces() {
    let (mut wire, _state) = ready().await;
    assert_eq!(wire.write(0x5F_FF00, &[7; 600]).await, 0x9000);
    assert_eq!(wire.card.count().await, 3);
    assert_eq!(wire.read(0x5F_FF00).await.ok(), [7; 600]);
    assert_eq!(wire.card.count().await, 6);
    wire.card.reset_count().await;
    assert_eq!(wire.card.count().await, 0);
}

#[tokio::test]
async fn what_succeeded_is_counted_for_life() {
    let (mut wire, state) = ready().await;
    wire.generate(0x9A, Algorithm::P256, PinPolicy::Usual).await;
    assert_eq!(wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.status, 0x6982);
    assert_eq!(wire.verify("123456").await, 0x9000);
    wire.sign(0x9A, Algorithm::P256, &[1; 32]).await.ok();
    wire.close().await;
    let mut wire = Wire::open(CardKind::Moves, state.path()).await;
    let executed = wire.card.executed().await;
    assert_eq!((executed["47"], executed["sign"], executed["20"]), (1, 1, 1), "{executed:?}");
}

#[tokio::test]
async fn a_transcript_holds_everything_but_secrets() {
    let (mut wire, state) = new_card(CardKind::Moves).await;
    let file = state.path().join("transcript");
    wire.card.record(&file).await;
    wire.administer().await;
    let key = openssl::ec::EcKey::generate(
        &openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).expect("a curve"),
    )
    .expect("a key");
    let scalar = obnova_tests::card::hex(&key.private_key().to_vec_padded(32).expect("it fits"));
    wire.import(0x9A, &openssl::pkey::PKey::from_ec_key(key).expect("a key"), PinPolicy::Usual).await;
    assert_eq!(wire.verify("271828").await, 0x63C2);
    assert_eq!(wire.verify("123456").await, 0x9000);
    assert_eq!(wire.write(0x5F_C109, b"\x88\x1A\x89\x18 a kept management key").await, 0x9000);
    wire.read(0x5F_C109).await.ok();
    wire.metadata(0x9A).await.ok();
    wire.reset().await;
    let text = std::fs::read_to_string(&file).expect("a transcript");
    assert!(text.contains("\n> 0020008008................00\n< 63C2\n"), "{text}");
    assert!(text.contains("\n> 00F7009A00\n< 010111"), "{text}");
    assert!(text.contains("\n! reset\n> 00A4040005A00000030800\n< 6111"), "{text}");
    for secret in [&scalar, "313233343536", "323731383238", &obnova_tests::card::hex(b"a kept management key")] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
