//! Takes one step at a PKCS#11 token, or looks at all that a module shows. The module's code runs in this very process, under the
//! limits set here; which step is due, and what a failure means for a renewal, is the daemon's.

mod decrypt;
mod failure;
mod generate;
mod install;
mod look;
mod module;
mod objects;
mod pins;
mod public_keys;
pub(crate) mod reset;
mod sign;

use std::collections::BTreeSet;
use std::path::Path;

use obnova_core::Place;
use obnova_core::card::Card;
use obnova_secret::Secret;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};

use module::{Module, Token};

/// The most bytes of certificates and keys that are told of. As hexadecimal text they still fit into a frame.
const MOST_BYTES: usize = 1024 * 1024;

/// Every token that the module shows. One that cannot be read hides no other.
pub(crate) fn list(module: &Path) -> Result<Vec<Card>, CardError> {
    Module::load(module)?.used(|module| {
        let (tokens, mut trouble) = module.tokens()?;
        let mut cards = Vec::new();
        for token in tokens {
            match look::card(&token) {
                Ok(card) => cards.push(card),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if cards.is_empty() => Err(error),
            _ => bounded(cards),
        }
    })
}

/// Waits until the module shows other tokens than these; `false` if it would never tell, or has no slots but these readers.
pub(crate) fn moved(module: &Path, shown: &[Place], readers: &[String]) -> Result<bool, CardError> {
    Module::load(module)?.used(|module| {
        if !module.has_slots_beside(readers)? {
            return Ok(false);
        }
        loop {
            // It tells of all that happens from here on.
            let (tokens, _) = module.tokens()?;
            let now: BTreeSet<Place> = tokens.iter().map(Token::place).collect();
            if now != shown.iter().cloned().collect() {
                return Ok(true);
            }
            if !module.wait()? {
                return Ok(false);
            }
        }
    })
}

/// What a person gave for a step.
pub(crate) struct Given<'a> {
    /// What opens the token: the PIN, or the PUK where the step is to unblock.
    pub(crate) opens: Option<&'a Secret>,
    /// The new PIN.
    pub(crate) new: Option<&'a Secret>,
    /// What opens may be sent though it would be blocked if it were wrong.
    pub(crate) last_try: bool,
}

/// One step at the token that `place` describes.
pub(crate) fn perform(module: &Path, place: &Place, step: &CardStep, given: &Given<'_>) -> Result<CardAnswer, CardError> {
    let mut opened = None;
    let outcome = Module::load(module)?.used(|module| {
        let token = the_one(module, place)?;
        if !matches!(step, CardStep::Look {}) && !token.reader.is_empty() {
            opened = Some(token.reader.clone());
        }
        match step {
            CardStep::Look {} => {
                let card = bounded(vec![look::card(&token)?])?.remove(0);
                Ok(CardAnswer::Card { card: Box::new(card) })
            }
            CardStep::Verify {} => pins::verify(&token, given),
            CardStep::Generate { spot, algorithm, like, label } => {
                pins::opened(&token, given, true, |open| generate::pair(open, spot, *algorithm, like, label))
            }
            CardStep::Sign { spot, public_key, message } => {
                pins::opened(&token, given, false, |open| sign::message(open, spot, &public_key.0, &message.0))
            }
            CardStep::Install { spot, certificate, label } => {
                pins::opened(&token, given, true, |open| install::certificate(open, spot, &certificate.0, label))
            }
            CardStep::Decrypt { spot, public_key, ciphertext } => {
                pins::opened(&token, given, false, |open| decrypt::message(open, spot, &public_key.0, &ciphertext.0))
            }
            CardStep::ChangePin {} => pins::change(&token, given),
            CardStep::Unblock {} => pins::unblock(&token, given),
            CardStep::Promote { .. } => Err(failure::unsupported("move keys")),
            CardStep::Announce {} => Err(failure::unsupported("announce keys: all are visible")),
        }
    });
    if let Some(reader) = opened {
        reset::card_in(&reader);
    }
    outcome
}

fn the_one(module: &Module, place: &Place) -> Result<Token, CardError> {
    let described = place.token_id().ok_or_else(|| failure::failed("the place is no token"))?;
    let (tokens, trouble) = module.tokens()?;
    let mut fitting = tokens.into_iter().filter(|token| described.covers(&token.id()));
    match (fitting.next(), fitting.next(), trouble) {
        (Some(token), None, _) => Ok(token),
        (Some(_), Some(_), _) => Err(failure::failed("more than one token is described so")),
        (None, _, Some(trouble)) => Err(trouble),
        (None, _, None) => Err(CardError::Absent {}),
    }
}

fn bounded(cards: Vec<Card>) -> Result<Vec<Card>, CardError> {
    use obnova_core::card::Presence;
    let spots = cards.iter().flat_map(|card| &card.spots);
    let bytes = spots.map(|spot| {
        let key = if let Presence::Key(key) = &spot.key { key.0.len() } else { 0 };
        key + spot.certificate.as_ref().map_or(0, |certificate| certificate.0.len())
    });
    if bytes.sum::<usize>() <= MOST_BYTES { Ok(cards) } else { Err(failure::failed("more certificates than can be told of")) }
}
