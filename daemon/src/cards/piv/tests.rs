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
use sha2::{Digest, Sha256};

use super::key::PublicKey;
use super::perform;
use super::simulated::{Arithmetic, Kind, SimulatedCard};
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
    let outcome = perform(card, None, step, secrets);
    assert_eq!(card.harm, []);
    outcome
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

/// A card without anything.
fn blank(kind: Kind) -> SimulatedCard {
    SimulatedCard::new(kind, Arc::new(Imagined))
}

/// A card of each kind with a pair of keys that are due for renewal, and a certificate beside each.
fn twins(kind: Kind) -> SimulatedCard {
    blank(kind)
        .with_key(0x9A, RSA, ONCE, 1)
        .with_certificate(0x9A, &certificate(RSA, 1, 1))
        .with_key(0x9C, P256, ALWAYS, 2)
        .with_certificate(0x9C, &certificate(P256, 2, 1))
}

/// Keys that are told from others by their seed alone, and what has the form of mathematics.
#[derive(Debug)]
struct Imagined;

impl Arithmetic for Imagined {
    fn public_half(&self, algorithm: u8, seed: u32) -> Vec<u8> {
        public_half(algorithm, seed)
    }

    fn apply(&self, algorithm: u8, _seed: u32, input: &[u8]) -> Option<Vec<u8>> {
        Some(match algorithm {
            RSA => input.iter().rev().copied().collect(),
            _ => object(0x30, &joined(&[&object(2, &[1; 20]), &object(2, &[2; 20])])).to_vec(),
        })
    }

    fn agree(&self, _algorithm: u8, _seed: u32, point: &[u8]) -> Option<Vec<u8>> {
        Some(point[1..=point.len() / 2].to_vec())
    }
}

/// The objects inside of `7F49` for such a key.
fn public_half(algorithm: u8, seed: u32) -> Vec<u8> {
    let bytes = |length: usize| -> Vec<u8> {
        let block = |part: u32| Sha256::digest([seed.to_be_bytes(), part.to_be_bytes()].concat()).to_vec();
        (0..).flat_map(block).take(length).collect()
    };
    match algorithm {
        0x11 => object(0x86, &[vec![4], bytes(64)].concat()).to_vec(),
        0x14 => object(0x86, &[vec![4], bytes(96)].concat()).to_vec(),
        _ => {
            let length = match algorithm {
                0x05 => 384,
                0x16 => 512,
                _ => 256,
            };
            let mut modulus = bytes(length);
            modulus[0] |= 0x80;
            [object(0x81, &modulus).to_vec(), object(0x82, &[1, 0, 1]).to_vec()].concat()
        }
    }
}
