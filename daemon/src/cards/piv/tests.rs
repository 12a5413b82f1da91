mod hostile;
mod looking;
mod making;
mod moving;
mod secrets;
mod using;

use std::sync::Arc;

use obnova_core::card::Spot;
use obnova_core::job::Bytes;
use obnova_secret::Secret;

use super::key::PublicKey;
use super::perform;
use super::simulated::{Kind, SimulatedCard, public_half};
use super::tlv::{joined, object};
use crate::cards::secrets::Secrets;
use crate::cards::step::{CardAnswer, CardError, CardStep};

const RSA: u8 = 0x07;
const P256: u8 = 0x11;
const ONCE: u8 = 2;
const ALWAYS: u8 = 3;

fn secret(text: &str) -> Arc<Secret> {
    Arc::new(Secret::from_slice(&mut text.as_bytes().to_vec()).expect("a secret"))
}

fn with_pin() -> Secrets {
    Secrets { pin: Some(secret("123456")), ..Secrets::default() }
}

fn spot(name: &str) -> Spot {
    Spot(name.to_owned())
}

fn run(card: &mut SimulatedCard, step: &CardStep, secrets: &Secrets) -> Result<CardAnswer, CardError> {
    perform(card, None, step, secrets)
}

fn look(card: &mut SimulatedCard) -> obnova_core::card::Card {
    match run(card, &CardStep::Look {}, &Secrets::default()) {
        Ok(CardAnswer::Card { card }) => *card,
        other => panic!("{other:?}"),
    }
}

fn public_key(algorithm: u8, seed: u32) -> Bytes {
    let key = PublicKey::of_template(algorithm, &public_half(algorithm, seed)).expect("a key");
    Bytes(key.to_spki().expect("DER"))
}

/// DER of a certificate as far as it matters here; `serial` tells several of one key apart.
fn certificate(algorithm: u8, seed: u32, serial: u8) -> Vec<u8> {
    let empty = object(0x30, &[]);
    let tbs = joined(&[
        &object(0xA0, &object(0x02, &[2])),
        &object(0x02, &[serial]),
        &empty,
        &empty,
        &empty,
        &empty,
        &public_key(algorithm, seed).0,
    ]);
    object(0x30, &joined(&[&object(0x30, &tbs), &empty, &object(0x03, &[0, 1])])).to_vec()
}

fn generate(at: &str, like: &str) -> CardStep {
    let algorithm = obnova_core::certificate::KeyAlgorithm::P256;
    CardStep::Generate { spot: spot(at), algorithm, like: spot(like), label: "x".into() }
}

/// A card of each kind with a pair of keys that are due for renewal, and a certificate beside each.
fn twins(kind: Kind) -> SimulatedCard {
    SimulatedCard::new(kind)
        .with_key(0x9A, RSA, ONCE, 1)
        .with_certificate(0x9A, &certificate(RSA, 1, 1))
        .with_key(0x9C, P256, ALWAYS, 2)
        .with_certificate(0x9C, &certificate(P256, 2, 1))
}
