//! Using a private key: signing, decrypting, agreeing (SP 800-73-4 part 2, 3.2.4 and appendix A).

use iso7816::Status;
use obnova_core::card::Spot;
use obnova_core::job::Bytes;
use zeroize::Zeroizing;

use super::Transmit;
use super::apdu::{Command, refused};
use super::applet::{Applet, Policies, Told};
use super::key::PublicKey;
use super::management::GENERAL_AUTHENTICATE;
use super::object::Stored;
use super::pin;
use super::slot::Slot;
use super::tlv::{self, object};
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

const CHALLENGE: u16 = 0x81;
const EXPONENTIATION: u16 = 0x85;

/// Signs a message with the key of this public half.
pub(super) fn sign<C: Transmit>(
    applet: &mut Applet<'_, C>,
    at: &Spot,
    public_key: &[u8],
    message: &[u8],
    secrets: &Secrets,
) -> Result<Bytes, CardError> {
    let key = parse(public_key)?;
    let unsupported = || CardError::Unsupported { what: format!("sign with keys of {}", key.algorithm()) };
    let input = key.to_be_signed(message).ok_or_else(unsupported)?;
    let signature = apply(applet, at, &key, CHALLENGE, &input, secrets)?;
    if key.may_have_signed(&signature) {
        Ok(Bytes(signature.to_vec()))
    } else {
        Err(CardError::Failed { detail: "what the card answered is no signature".to_owned() })
    }
}

/// Decrypts what RSA encrypted to the key of this public half, or agrees with the other side's point.
pub(super) fn decrypt<C: Transmit>(
    applet: &mut Applet<'_, C>,
    at: &Spot,
    public_key: &[u8],
    ciphertext: &[u8],
    secrets: &Secrets,
) -> Result<Bytes, CardError> {
    let key = parse(public_key)?;
    let plain = match &key {
        PublicKey::Rsa { modulus, .. } => {
            let mut block = vec![0; modulus.len().saturating_sub(ciphertext.len())];
            block.extend_from_slice(ciphertext);
            let plain = apply(applet, at, &key, CHALLENGE, &block, secrets)?;
            key.message_in(&plain)
        }
        PublicKey::P256 { point } | PublicKey::P384 { point } => {
            let shared = apply(applet, at, &key, EXPONENTIATION, ciphertext, secrets)?;
            // One coordinate, of which a card may leave leading zeros away.
            let length = point.len() / 2;
            (1..=length).contains(&shared.len()).then(|| tlv::joined(&[&vec![0; length - shared.len()], &shared]))
        }
        PublicKey::Other { .. } => {
            return Err(CardError::Unsupported { what: format!("decrypt with keys of {}", key.algorithm()) });
        }
    };
    let plain = plain.ok_or_else(|| CardError::Failed { detail: "what the card decrypted is no message".to_owned() })?;
    Ok(Bytes(plain.to_vec()))
}

fn parse(public_key: &[u8]) -> Result<PublicKey, CardError> {
    PublicKey::of_spki(public_key).ok_or_else(|| CardError::Failed { detail: "no public key was given".to_owned() })
}

fn apply<C: Transmit>(
    applet: &mut Applet<'_, C>,
    at: &Spot,
    key: &PublicKey,
    tag: u16,
    input: &[u8],
    secrets: &Secrets,
) -> Result<Zeroizing<Vec<u8>>, CardError> {
    let slot = Slot::parse(at)?;
    let unsupported = || CardError::Unsupported { what: format!("use keys of {}", key.algorithm()) };
    let algorithm = key.reference().ok_or_else(unsupported)?;
    let policies = holds(applet, slot, key)?;
    let without_pin = match policies {
        Some(policies) => policies.pin == Policies::NEVER,
        None => slot == Slot::CARD_AUTHENTICATION,
    };
    if !without_pin {
        // The last thing before the key is used: it may want the PIN each time.
        pin::open(applet, secrets)?;
    }
    let template = object(0x7C, &tlv::joined(&[&object(0x82, &[]), &object(tag, input)]));
    let command =
        Command { instruction: GENERAL_AUTHENTICATE, p1: algorithm, p2: slot.reference(), data: &template, answers: true };
    let answer = applet.exchange(&command)?;
    let touch = policies.is_some_and(Policies::touch);
    match answer.status {
        Status::Success => {}
        Status::SecurityStatusNotSatisfied | Status::ConditionsOfUseNotSatisfied if touch => {
            return Err(CardError::NotTouched {});
        }
        Status::KeyReferenceNotFound => return Err(CardError::KeyMissing { spot: at.clone() }),
        status => return Err(refused("GENERAL AUTHENTICATE", status)),
    }
    match tlv::find(&[0x7C, 0x82], &answer.data) {
        Some(response) => Ok(Zeroizing::new(response.to_vec())),
        None => Err(CardError::Failed { detail: "GENERAL AUTHENTICATE: no response came".to_owned() }),
    }
}

/// That this key lies there, as far as the card tells: what it signs or decrypts proves the rest. Gives its policies.
fn holds<C: Transmit>(applet: &mut Applet<'_, C>, slot: Slot, key: &PublicKey) -> Result<Option<Policies>, CardError> {
    let metadata = applet.metadata(slot)?;
    let holds = match &metadata.key {
        Told::Key(told) => told == key,
        Told::None => false,
        Told::Nothing => match applet.certificate(slot)? {
            Stored::Certificate(der) => PublicKey::of_certificate(&der).as_ref() == Some(key),
            Stored::Nothing | Stored::Strange => true,
        },
    };
    if holds { Ok(metadata.policies) } else { Err(CardError::KeyMissing { spot: slot.spot() }) }
}
