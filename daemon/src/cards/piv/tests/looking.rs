use flate2::Compression;
use flate2::write::GzEncoder;
use obnova_core::card::{CardKind, Presence, Tries};
use obnova_core::certificate::KeyAlgorithm;
use std::io::Write;

use super::super::object::{History, Stored, card_number, pin_reference};
use super::*;

fn state<'card>(card: &'card obnova_core::card::Card, name: &str) -> Option<&'card obnova_core::card::SpotState> {
    card.spots.iter().find(|state| state.spot.0 == name)
}

#[test]
fn a_yubikey_tells_everything() {
    let mut card = twins(Kind::YubiKey).with_key(0x85, P256, ONCE, 9);
    let seen = look(&mut card);
    assert_eq!(seen.kind, CardKind::Moves);
    assert_eq!(seen.place.as_str(), format!("piv:{}", "a5".repeat(16)));
    assert_eq!((seen.model.as_str(), seen.serial.as_str()), ("YubiKey 5.7.4", "1193046"));
    assert_eq!(seen.label, "YubiKey 5.7.4 1193046");
    assert_eq!((seen.pin, seen.puk), (Tries::Left(3), Tries::Left(3)));
    assert_eq!(seen.algorithms, KeyAlgorithm::MADE);
    assert_eq!(seen.spots.len(), 24);
    let signature = state(&seen, "9c").expect("9c");
    assert_eq!(signature.key, Presence::Key(public_key(P256, 2)));
    assert_eq!((signature.always, signature.touch), (Some(true), false));
    assert_eq!(signature.certificate.as_ref().map(|der| der.0.clone()), Some(certificate(P256, 2, 1)));
    assert_eq!(state(&seen, "85").expect("85").key, Presence::Key(public_key(P256, 9)));
    assert_eq!(state(&seen, "82").expect("82").key, Presence::Free);
    assert!(!card.is_open() && card.resets == 0, "looking opens nothing and disturbs nobody");
    assert!(card.log.iter().all(|(instruction, _, _, length)| *instruction != 0x20 || *length == 0));
}

#[test]
fn a_nitrokeys_empty_metadata_is_never_emptiness() {
    let mut card = twins(Kind::Nitrokey).with_key(0x82, P256, ONCE, 9);
    let seen = look(&mut card);
    assert_eq!(seen.kind, CardKind::Retires, "a version above 5.7 alone makes no card that moves keys");
    assert_eq!(seen.model, "Nitrokey PIV");
    assert_eq!(state(&seen, "9a").expect("9a").key, Presence::Key(public_key(RSA, 1)), "from its certificate");
    assert_eq!(state(&seen, "9a").expect("9a").always, None);
    assert_eq!(state(&seen, "9d").expect("9d").key, Presence::Unproven);
    assert_eq!(state(&seen, "82").expect("82").key, Presence::Unproven);
    assert_eq!(seen.puk, Tries::Unknown);
}

#[test]
fn a_plain_card_is_asked_for_nothing_that_it_does_not_know() {
    let mut card = twins(Kind::Plain).with_certificate(0x83, &certificate(RSA, 7, 1));
    let seen = look(&mut card);
    assert_eq!(seen.kind, CardKind::Fixed);
    assert_eq!(seen.algorithms, [KeyAlgorithm::Rsa(2048), KeyAlgorithm::P256]);
    let names: Vec<&str> = seen.spots.iter().map(|state| state.spot.0.as_str()).collect();
    assert_eq!(names, ["9a", "9c", "9d", "9e", "83"]);
}

#[test]
fn the_place_must_be_the_cards_own() {
    let mut card = twins(Kind::YubiKey);
    let other = obnova_core::Place::piv(&"b6".repeat(16)).expect("a place");
    let step = CardStep::Verify {};
    assert_eq!(perform(&mut card, Some(&other), &step, &with_pin()), Err(CardError::Absent {}));
    assert_eq!(card.count(0x20), 0, "another's card never sees the PIN");
    card.objects.clear();
    let serial = obnova_core::Place::piv("1193046").expect("a place");
    assert_eq!(perform(&mut card, Some(&serial), &step, &with_pin()), Ok(CardAnswer::Done {}));
    let mut nameless = blank(Kind::Plain);
    nameless.objects.clear();
    assert!(matches!(run(&mut nameless, &CardStep::Look {}, &Secrets::default()), Err(CardError::Unsupported { .. })));
}

#[test]
fn a_counter_that_is_hidden_is_unknown() {
    let mut card = twins(Kind::Nitrokey);
    card.open_elsewhere();
    assert_eq!(look(&mut card).pin, Tries::Unknown);
    let mut yubikey = twins(Kind::YubiKey);
    yubikey.open_elsewhere();
    yubikey.pin_left = 2;
    assert_eq!(look(&mut yubikey).pin, Tries::Left(2), "metadata tells it all the same");
    assert_eq!(yubikey.resets, 0);
    card.reinsert();
    card.pin_left = 0;
    assert_eq!(look(&mut card).pin, Tries::Blocked);
}

#[test]
fn compressed_certificates_are_read() {
    let der = certificate(RSA, 1, 1);
    let compressed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("written to memory")
    };
    let stored = |content: &[u8], info: u8| {
        Stored::parse(&joined(&[&object(0x70, content), &object(0x71, &[info]), &object(0xFE, &[])]))
    };
    assert_eq!(stored(&compressed(&der), 1), Stored::Certificate(der.clone()));
    assert_eq!(stored(&der, 0), Stored::Certificate(der.clone()));
    assert_eq!(stored(&der, 1), Stored::Strange, "said to be compressed");
    assert_eq!(stored(b"no certificate", 0), Stored::Strange);
    assert_eq!(stored(&[], 0), Stored::Nothing);
    assert_eq!(Stored::parse(&[]), Stored::Nothing);
    // A thousandfold: what fits into 3 kB on a card would be megabytes.
    assert_eq!(stored(&compressed(&vec![0x30; 8 << 20]), 1), Stored::Strange);
}

#[test]
fn numbers_and_references_are_read() {
    let chuid = |fascn: &[u8], guid: &[u8]| joined(&[&object(0xEE, &[1, 2]), &object(0x30, fascn), &object(0x34, guid)]);
    let card = |fascn: &[u8], guid: &[u8]| card_number(&chuid(fascn, guid));
    assert_eq!(card(&[0xD4; 25], &[0xAB; 16]), Some("ab".repeat(16)));
    assert_eq!(card(&[0xD0; 25], &[0; 16]), Some("d0".repeat(25)));
    let nobody = [&[0xD4, 0xE7, 0x39, 0xDA][..], &[0x73; 21]].concat();
    assert_eq!(card(&nobody, &[0; 16]), None);
    assert_eq!(card_number(b"garbage"), None);
    let policy = |bytes: &[u8]| pin_reference(&joined(&[&object(0x4F, b"x"), &object(0x5F2F, bytes)]));
    assert_eq!([policy(&[0x40, 0x00]), policy(&[0x60, 0x10]), policy(&[0x60, 0x20]), policy(&[])], [0x80, 0x80, 0x00, 0x80]);
}

#[test]
fn a_history_keeps_what_others_wrote() {
    let content = joined(&[&object(0xC1, &[2]), &object(0xC2, &[5]), &object(0xF3, b"http://x/y"), &object(0xFE, &[])]);
    let history = History::parse(&content).expect("a history");
    assert_eq!(history.keys(), 2);
    let changed = history.with_keys(4);
    assert_eq!(changed.keys(), 4);
    assert_eq!(changed.content()[3..], content[3..]);
    assert_eq!(History::parse(&[]).map(|none| none.keys()), Some(0));
    assert_eq!(History::parse(b"\xC1\x02\x01\x02"), None);
    assert_eq!(History::parse(b"\xC2\x01\x02"), None);
}
