//! Making a key, in a slot whose emptiness was proved just before.

use iso7816::Status;
use obnova_core::card::{CardKind, Spot};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;

use super::Transmit;
use super::apdu::{Command, refused};
use super::applet::{Applet, Policies, Told};
use super::key::{self, PublicKey};
use super::management::{self, GENERAL_AUTHENTICATE};
use super::object::Stored;
use super::pin;
use super::slot::Slot;
use super::tlv::{self, object};
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

const GENERATE: u8 = 0x47;

/// Makes a key pair and tells its public half.
pub(super) fn generate<C: Transmit>(
    applet: &mut Applet<'_, C>,
    at: &Spot,
    algorithm: KeyAlgorithm,
    like: &Spot,
    secrets: &Secrets,
) -> Result<Bytes, CardError> {
    let (slot, like) = (Slot::parse(at)?, Slot::parse(like)?);
    let unsupported = || CardError::Unsupported { what: format!("make {algorithm} keys in {at}") };
    let reference = key::reference(algorithm).ok_or_else(unsupported)?;
    let fixed = applet.kind()? == CardKind::Fixed;
    if !applet.algorithms()?.contains(&algorithm) || (fixed && slot.retired_number().is_some()) {
        return Err(unsupported());
    }
    let policies = policies_like(applet, like)?;
    prove_free(applet, slot, reference, secrets)?;
    management::authenticate(applet, secrets)?;

    let template = object(0xAC, &tlv::joined(&[&object(0x80, &[reference]), &policies]));
    let command = Command { instruction: GENERATE, p1: 0, p2: slot.reference(), data: &template, answers: true };
    let answer = applet.exchange(&command)?;
    match answer.status {
        Status::Success => {}
        Status::NotEnoughMemory => return Err(CardError::Full {}),
        Status::IncorrectDataParameter
        | Status::IncorrectP1OrP2Parameter
        | Status::WrongParameters
        | Status::FunctionNotSupported => {
            return Err(unsupported());
        }
        status => return Err(refused("GENERATE", status)),
    }
    let public = tlv::find(&[0x7F49], &answer.data).and_then(|template| PublicKey::of_template(reference, template));
    match public {
        Some(public) if public.algorithm() == algorithm => public.to_spki().map(Bytes),
        // The key is there now, and where metadata tells it, looking will show it.
        _ => Err(CardError::Failed { detail: "GENERATE told no public key".to_owned() }),
    }
}

/// The policies of another key, as GENERATE takes them: nothing where the card has none, or would give the same by itself.
fn policies_like<C: Transmit>(applet: &mut Applet<'_, C>, like: Slot) -> Result<Vec<u8>, CardError> {
    let said = |policies: Policies| {
        let part = |tag: u16, policy: u8| if policy == 0 { Vec::new() } else { object(tag, &[policy]).to_vec() };
        [part(0xAA, policies.pin), part(0xAB, policies.touch)].concat()
    };
    if let Some(policies) = applet.metadata(like)?.policies {
        return Ok(said(policies));
    }
    // Without metadata the old key is taken for one made without wishes. What a slot gives by itself, a retired one would not.
    Ok(match like {
        Slot::SIGNATURE => said(Policies { pin: Policies::ALWAYS, touch: 0 }),
        Slot::CARD_AUTHENTICATION => said(Policies { pin: Policies::NEVER, touch: 0 }),
        _ => Vec::new(),
    })
}

/// That there is no key and no certificate. Where the card does not tell, the PIN is needed: with it, an attempt to use a key
/// that is not there is refused for that reason.
fn prove_free<C: Transmit>(applet: &mut Applet<'_, C>, slot: Slot, algorithm: u8, secrets: &Secrets) -> Result<(), CardError> {
    let occupied = || CardError::Occupied { spot: slot.spot() };
    if applet.certificate(slot)? != Stored::Nothing {
        return Err(occupied());
    }
    match applet.metadata(slot)?.key {
        Told::None => Ok(()),
        Told::Key(_) => Err(occupied()),
        Told::Nothing => {
            let trussed = applet.is_trussed()?;
            // No command may stand between the PIN and the attempt: a key may want it each time.
            pin::open(applet, secrets)?;
            if answers_as_empty(applet, slot, algorithm, trussed)? { Ok(()) } else { Err(occupied()) }
        }
    }
}

/// Asks for a signature over a single byte, which no key makes: a key that is there refuses the length.
fn answers_as_empty<C: Transmit>(
    applet: &mut Applet<'_, C>,
    slot: Slot,
    algorithm: u8,
    trussed: bool,
) -> Result<bool, CardError> {
    let template = object(0x7C, &tlv::joined(&[&object(0x82, &[]), &object(0x81, &[0])]));
    let command =
        Command { instruction: GENERAL_AUTHENTICATE, p1: algorithm, p2: slot.reference(), data: &template, answers: true };
    let answer = applet.exchange(&command)?;
    answer.is_done("GENERAL AUTHENTICATE")?;
    Ok(match answer.status {
        Status::KeyReferenceNotFound => true,
        Status::ConditionsOfUseNotSatisfied => trussed,
        _ => false,
    })
}
