//! Cards as data: what one kind of card each was asked and answered when it was looked at and signed, as a transcript that the
//! tests with real peers recorded (`tests/it/peers/piv/transcripts.rs`). Secrets in it are blanked as `..`.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use obnova_core::Place;
use obnova_core::card::{Card, CardKind, Presence, Spot, Tries};
use obnova_core::job::Bytes;
use obnova_secret::Secret;
use obnovad::cards::piv::{Transmit, TransportError, perform};
use obnovad::cards::secrets::Secrets;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;
use zeroize::Zeroizing;

/// A card that answers what was answered then, as long as it is asked what was asked then.
struct Recorded {
    exchanges: VecDeque<(String, String)>,
    resets: usize,
}

impl Recorded {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cards").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let resets = lines.iter().filter(|line| **line == ("!", "reset")).count();
        let said = |mark: &str| {
            let marked = lines.iter().filter(move |(found, _)| *found == mark);
            marked.map(|(_, text)| (*text).to_owned()).collect::<Vec<_>>()
        };
        Self { exchanges: said(">").into_iter().zip(said("<")).collect(), resets }
    }

    fn step(&mut self, place: Option<&Place>, step: &CardStep) -> Result<CardAnswer, CardError> {
        let pin = Secret::from_slice(&mut b"123456".to_vec()).expect("a secret");
        perform(self, place, step, &Secrets { pin: Some(Arc::new(pin)), ..Secrets::default() })
    }

    fn look(&mut self) -> Card {
        match self.step(None, &CardStep::Look {}) {
            Ok(CardAnswer::Card { card }) => *card,
            other => panic!("{other:?}"),
        }
    }
}

impl Transmit for Recorded {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let (asked, answer) = self.exchanges.pop_front().expect("nothing more was asked then");
        let now = String::from(Bytes(apdu.to_vec())).to_uppercase();
        assert_eq!(now.len(), asked.len(), "{now} instead of {asked}");
        let same = |(now, then): (&[u8], &[u8])| then == b".." || now == then;
        assert!(now.as_bytes().chunks(2).zip(asked.as_bytes().chunks(2)).all(same), "{now} instead of {asked}");
        let digits = answer.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        Ok(Zeroizing::new(digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")).collect()))
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.resets = self.resets.checked_sub(1).expect("no reset more than then");
        Ok(())
    }

    fn has_pad(&mut self) -> bool {
        false
    }

    fn verify_by_pad(&mut self, _: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        Err(TransportError::Failed("no pad".to_owned()))
    }
}

/// Looks, and signs with 9A; OpenSSL judges the signature that was made then.
fn replay(name: &str) -> Card {
    let mut recorded = Recorded::open(name);
    let card = recorded.look();
    let slot = card.spots.iter().find(|state| state.spot.0 == "9a").expect("9a");
    let Presence::Key(public_key) = &slot.key else { panic!("no key in 9a") };
    let message = b"what is signed";
    let sign = CardStep::Sign { spot: Spot("9a".to_owned()), public_key: public_key.clone(), message: Bytes(message.to_vec()) };
    let Ok(CardAnswer::Signature { signature }) = recorded.step(Some(&card.place), &sign) else { panic!("no signature") };
    let key = PKey::public_key_from_der(&public_key.0).expect("a key");
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).expect("a verifier");
    assert!(verifier.verify_oneshot(&signature.0, message).expect("verified"));
    assert!(recorded.exchanges.is_empty(), "{} more were asked then", recorded.exchanges.len());
    assert_eq!(recorded.resets, 0, "the card was reset then");
    assert_eq!(card.pin, Tries::Left(3));
    for name in ["9a", "9c", "9d"] {
        let state = card.spots.iter().find(|state| state.spot.0 == name).expect("a slot");
        assert!(state.certificate.is_some(), "{name}");
    }
    card
}

#[test]
fn a_yubikey_5_7() {
    let card = replay("moves.apdu");
    assert_eq!((card.kind, card.puk), (CardKind::Moves, Tries::Left(3)));
    assert!(card.label.starts_with("YubiKey 5.7.4 "), "{}", card.label);
    assert_eq!(card.spots.iter().filter(|state| state.key == Presence::Free).count(), 21);
}

#[test]
fn a_nitrokey_3() {
    let card = replay("generates.apdu");
    assert_eq!((card.kind, card.puk, card.model.as_str()), (CardKind::Retires, Tries::Unknown, "Nitrokey PIV"));
    assert_eq!(card.spots.iter().filter(|state| state.key == Presence::Unproven).count(), 21);
    assert!(card.spots.iter().all(|state| state.key != Presence::Free));
}

#[test]
fn a_plain_card() {
    let card = replay("strict.apdu");
    assert_eq!((card.kind, card.puk, card.serial.as_str()), (CardKind::Fixed, Tries::Unknown, ""));
    assert_eq!(card.spots.len(), 4);
}
