//! The swap of a renewed key with its predecessor by MOVE KEY, and the Key History that shows other programs the retired keys.
//! A swap that was broken off anywhere only rolls forward.

use iso7816::Status;
use obnova_core::card::{CardKind, Spot};

use super::Transmit;
use super::apdu::{Command, refused};
use super::applet::{Applet, Told};
use super::install;
use super::key::PublicKey;
use super::management;
use super::object::{History, Stored};
use super::slot::{self, Slot};
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

const MOVE_KEY: u8 = 0xF6;

/// What goes where.
pub(super) struct Swap<'data> {
    from: Slot,
    to: Slot,
    archive: Slot,
    new: (&'data [u8], PublicKey),
    old: (&'data [u8], PublicKey),
}

impl<'data> Swap<'data> {
    pub(super) fn parse(from: &Spot, to: &Spot, archive: &Spot, new: &'data [u8], old: &'data [u8]) -> Result<Self, CardError> {
        let swap = Self {
            from: Slot::parse(from)?,
            to: Slot::parse(to)?,
            archive: Slot::parse(archive)?,
            new: (new, install::key_of(new)?),
            old: (old, install::key_of(old)?),
        };
        let distinct = swap.from != swap.to && swap.from != swap.archive && swap.to != swap.archive;
        // Decryption programs look for old keys in the retired slots alone.
        if distinct && swap.new.1 != swap.old.1 && swap.archive.retired_number().is_some() {
            Ok(swap)
        } else {
            Err(CardError::Unsupported { what: format!("move {from} to {to} and {to} to {archive}") })
        }
    }
}

/// Which of the keys of a swap lies in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    New,
    Old,
    Other,
}

/// Brings the new key to `to` and the old one to `archive`, with their certificates.
pub(super) fn promote<C: Transmit>(applet: &mut Applet<'_, C>, swap: &Swap<'_>, secrets: &Secrets) -> Result<(), CardError> {
    if applet.kind()? != CardKind::Moves {
        return Err(CardError::Unsupported { what: "move keys".to_owned() });
    }
    let Swap { from, to, archive, .. } = *swap;
    let (in_from, in_to, in_archive) = judge(applet, swap)?;
    let (beside_from, beside_to, beside_archive) =
        (beside(applet, swap, from)?, beside(applet, swap, to)?, beside(applet, swap, archive)?);
    // What was certified for another key is never written over.
    if !matches!(beside_archive, Beside::Nothing | Beside::OldItself | Beside::OldKey) {
        return Err(CardError::Occupied { spot: archive.spot() });
    }
    if beside_to == Beside::Other {
        return Err(CardError::Occupied { spot: to.spot() });
    }
    // What we left there could be taken for somebody's, and never be cleared away.
    if in_from != Holds::Other && beside_from == Beside::Other {
        return Err(CardError::Occupied { spot: from.spot() });
    }
    // Where the new key is its certificate was stored, whatever the card says now.
    let left_behind =
        in_from == Holds::New || (in_from == Holds::Nothing && matches!(beside_from, Beside::NewItself | Beside::NewKey));
    let moved = in_to == Holds::New && in_archive == Holds::Old;
    let history = applet.history()?;
    if moved && !left_behind && beside_to == Beside::NewItself && beside_archive == Beside::OldItself {
        let keys = highest(applet)?;
        if history.keys() == keys {
            return Ok(());
        }
    }
    management::authenticate(applet, secrets)?;

    // First what keeps the old key in sight, then the keys, and last what is left behind.
    let archived = archive.retired_number().unwrap_or(0);
    if history.keys() < archived {
        write_history(applet, &history.with_keys(archived))?;
    }
    if beside_archive != Beside::OldItself {
        install::write(applet, archive, swap.old.0)?;
    }
    if in_to == Holds::Old {
        move_key(applet, to, archive, &swap.old.1)?;
    }
    if in_to != Holds::New {
        move_key(applet, from, to, &swap.new.1)?;
    }
    if beside_to != Beside::NewItself {
        install::write(applet, to, swap.new.0)?;
    }
    if left_behind {
        applet.put(from.object(), &[])?;
    }
    let keys = highest(applet)?;
    settle_history(applet, keys)
}

/// Sets the Key History to what is on the card, so that other programs find the retired keys.
pub(super) fn announce<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<(), CardError> {
    let history = applet.history()?;
    let keys = shown(applet, &history)?;
    if history.keys() == keys {
        return Ok(());
    }
    management::authenticate(applet, secrets)?;
    settle_history(applet, keys)
}

/// Where the keys are, if it is one of the states on the way.
fn judge<C: Transmit>(applet: &mut Applet<'_, C>, swap: &Swap<'_>) -> Result<(Holds, Holds, Holds), CardError> {
    let mut holds = |slot: Slot| {
        Ok::<_, CardError>(match applet.metadata(slot)?.key {
            Told::None => Holds::Nothing,
            Told::Key(key) if key == swap.new.1 => Holds::New,
            Told::Key(key) if key == swap.old.1 => Holds::Old,
            Told::Key(_) | Told::Nothing => Holds::Other,
        })
    };
    let state = (holds(swap.from)?, holds(swap.to)?, holds(swap.archive)?);
    let occupied = |slot: Slot| Err(CardError::Occupied { spot: slot.spot() });
    let missing = |slot: Slot| Err(CardError::KeyMissing { spot: slot.spot() });
    match state {
        // Before, between, and after the moves.
        (Holds::New, Holds::Old, Holds::Nothing)
        | (Holds::New, Holds::Nothing, Holds::Old)
        | (Holds::Nothing | Holds::Other, Holds::New, Holds::Old) => Ok(state),
        (_, Holds::Other, _) => occupied(swap.to),
        (_, Holds::Old, Holds::Other | Holds::New) => occupied(swap.archive),
        (_, Holds::Old | Holds::Nothing, Holds::Old | Holds::Nothing) if state.0 != Holds::New => missing(swap.from),
        _ => missing(swap.to),
    }
}

/// What lies in the object of a slot's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    NewItself,
    NewKey,
    OldItself,
    OldKey,
    Other,
}

fn beside<C: Transmit>(applet: &mut Applet<'_, C>, swap: &Swap<'_>, slot: Slot) -> Result<Beside, CardError> {
    Ok(match applet.certificate(slot)? {
        Stored::Nothing => Beside::Nothing,
        Stored::Certificate(der) if der == swap.new.0 => Beside::NewItself,
        Stored::Certificate(der) if der == swap.old.0 => Beside::OldItself,
        Stored::Certificate(der) => match PublicKey::of_certificate(&der) {
            Some(key) if key == swap.new.1 => Beside::NewKey,
            Some(key) if key == swap.old.1 => Beside::OldKey,
            _ => Beside::Other,
        },
        Stored::Strange => Beside::Other,
    })
}

/// Moves a key and looks whether it has arrived.
fn move_key<C: Transmit>(applet: &mut Applet<'_, C>, from: Slot, to: Slot, key: &PublicKey) -> Result<(), CardError> {
    if applet.metadata(to)?.key != Told::None {
        return Err(CardError::Occupied { spot: to.spot() });
    }
    let command = Command { instruction: MOVE_KEY, p1: to.reference(), p2: from.reference(), data: &[], answers: false };
    match applet.exchange(&command)?.status {
        Status::Success => {}
        Status::KeyReferenceNotFound => return Err(CardError::KeyMissing { spot: from.spot() }),
        status => return Err(refused("MOVE KEY", status)),
    }
    if applet.metadata(to)?.key == Told::Key(key.clone()) && applet.metadata(from)?.key == Told::None {
        Ok(())
    } else {
        Err(CardError::Failed { detail: "MOVE KEY: the key did not arrive".to_owned() })
    }
}

/// The highest retired key, as Key History counts them; others' keys are counted, too. Of a card that tells its keys.
fn highest<C: Transmit>(applet: &mut Applet<'_, C>) -> Result<u8, CardError> {
    for slot in Slot::retired().rev() {
        let metadata = applet.metadata(slot)?;
        match metadata.key {
            Told::None => {}
            Told::Nothing if metadata.policies.is_none() => {
                return Err(CardError::Failed { detail: format!("nothing is told of {}", slot.spot()) });
            }
            // One of a kind that we do not know is one, too.
            Told::Key(_) | Told::Nothing => return Ok(slot.retired_number().unwrap_or(0)),
        }
    }
    Ok(0)
}

/// What the history should show.
fn shown<C: Transmit>(applet: &mut Applet<'_, C>, history: &History) -> Result<u8, CardError> {
    if applet.kind()? == CardKind::Moves {
        return highest(applet);
    }
    // Keys are not told here. Certificates are, and what was announced before may be a key without one.
    for slot in Slot::retired().rev() {
        if applet.certificate(slot)? != Stored::Nothing {
            return Ok(slot.retired_number().unwrap_or(0).max(history.keys()));
        }
    }
    Ok(history.keys())
}

/// Writes the history if it is not right. Needs the management key to have been proved.
fn settle_history<C: Transmit>(applet: &mut Applet<'_, C>, keys: u8) -> Result<(), CardError> {
    let history = applet.history()?;
    if history.keys() == keys { Ok(()) } else { write_history(applet, &history.with_keys(keys)) }
}

fn write_history<C: Transmit>(applet: &mut Applet<'_, C>, history: &History) -> Result<(), CardError> {
    applet.put(slot::KEY_HISTORY, history.content())?;
    // Some cards count by themselves what they have certificates for, and take nothing.
    let written = applet.history()?;
    if written.keys() >= history.keys() {
        Ok(())
    } else {
        Err(CardError::Failed { detail: "the Key History read back is another one".to_owned() })
    }
}
