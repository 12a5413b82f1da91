//! PIN and PUK: read the counter, send the secret once, say what came of it (SP 800-73-4 part 2, 3.2.1 to 3.2.3).

use iso7816::Status;
use obnova_core::card::Tries;
use obnova_secret::Secret;
use zeroize::Zeroizing;

use super::Transmit;
use super::apdu::{Command, refused};
use super::applet::Applet;
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

const VERIFY: u8 = 0x20;
const CHANGE_REFERENCE_DATA: u8 = 0x24;
const RESET_RETRY_COUNTER: u8 = 0x2C;

/// The card's own PIN.
pub(super) const PIN: u8 = 0x80;
/// What unblocks it.
pub(super) const PUK: u8 = 0x81;

/// The fewest and the most characters of a PIN.
pub(super) const LENGTH: (u8, u8) = (6, 8);

/// What a pad says when nobody typed in time, or whoever did gave up (PC/SC part 10, 2.5.2; 2.5.3).
const PAD_TIMEOUT: u16 = 0x6400;
const PAD_CANCELLED: u16 = 0x6401;
const PAD_TOO_SHORT: u16 = 0x6403;

/// What an empty VERIFY says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// So many tries.
    Tries(Tries),
    /// Somebody has verified, so the tries are not told.
    Open,
}

/// Reads the counter of a PIN. It costs no try.
pub(super) fn counter<C: Transmit>(applet: &mut Applet<'_, C>, reference: u8) -> Result<Counter, CardError> {
    let command = Command { instruction: VERIFY, p1: 0, p2: reference, data: &[], answers: false };
    let answer = applet.exchange(&command)?;
    Ok(match answer.status {
        Status::RemainingRetries(0) | Status::OperationBlocked => Counter::Tries(Tries::Blocked),
        // A full counter of 15 or more is told as 15.
        Status::RemainingRetries(left) => Counter::Tries(Tries::Left(left)),
        _ if answer.is_done("empty VERIFY")? => Counter::Open,
        _ => Counter::Tries(Tries::Unknown),
    })
}

/// Verifies the PIN: after this, keys may be used and what lies behind the PIN be read.
pub(super) fn open<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<(), CardError> {
    let by_pad = secrets.pin.is_none() && applet.card().has_pad();
    let block = match &secrets.pin {
        Some(pin) => Some(padded(applet, pin)?),
        None if by_pad => None,
        None => return Err(CardError::PinNeeded {}),
    };
    let reference = guard(applet, secrets)?;
    applet.opened = true;
    let status = match block {
        Some(block) => {
            let command = Command { instruction: VERIFY, p1: 0, p2: reference, data: &*block, answers: false };
            applet.exchange(&command)?.status
        }
        None => by_hand(applet, reference)?,
    };
    match judged("VERIFY", status, PIN) {
        // It does not say how many are left, or that none is.
        Err(CardError::WrongPin { left: None }) => Err(wrong_with_counter(applet, reference)?),
        outcome => outcome,
    }
}

/// Replaces the PIN by a new one.
pub(super) fn change<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<(), CardError> {
    let pin = secrets.pin.as_deref().ok_or(CardError::PinNeeded {})?;
    let new = secrets.new_pin.as_deref().ok_or(CardError::PinNeeded {})?;
    let data = super::tlv::joined(&[&*padded(applet, pin)?, &*padded(applet, new)?]);
    let reference = guard(applet, secrets)?;
    applet.opened = true;
    let command = Command { instruction: CHANGE_REFERENCE_DATA, p1: 0, p2: reference, data: &data, answers: false };
    let status = applet.exchange(&command)?.status;
    match judged("CHANGE REFERENCE DATA", status, PIN) {
        Err(CardError::WrongPin { left: None }) => Err(wrong_with_counter(applet, reference)?),
        outcome => outcome,
    }
}

/// Replaces the PIN by means of the PUK.
pub(super) fn unblock<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<(), CardError> {
    let puk = secrets.puk.as_deref().ok_or(CardError::PinNeeded {})?;
    let new = secrets.new_pin.as_deref().ok_or(CardError::PinNeeded {})?;
    let data = super::tlv::joined(&[&*padded(applet, puk)?, &*padded(applet, new)?]);
    match applet.secret_metadata(PUK)?.left {
        Some(0) => return Err(CardError::Blocked {}),
        Some(1) if !secrets.last_try => return Err(CardError::LastTry {}),
        // Without metadata nothing tells the PUK's counter but a try.
        Some(_) | None => {}
    }
    applet.opened = true;
    let command = Command { instruction: RESET_RETRY_COUNTER, p1: 0, p2: PIN, data: &data, answers: false };
    judged("RESET RETRY COUNTER", applet.exchange(&command)?.status, PUK)
}

/// Reads the counter before anything is sent, and gives the reference of the PIN.
fn guard<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<u8, CardError> {
    let reference = applet.pin_reference()?;
    let mut read = counter(applet, reference)?;
    if read == Counter::Open && !applet.opened {
        applet.forget()?;
        read = counter(applet, reference)?;
    }
    match read {
        Counter::Tries(Tries::Blocked) => Err(CardError::Blocked {}),
        Counter::Tries(Tries::Left(1)) if !secrets.last_try => Err(CardError::LastTry {}),
        // We have verified it ourselves before, in this transaction: it is right.
        Counter::Open if applet.opened => Ok(reference),
        Counter::Open => Err(CardError::OpenedElsewhere {}),
        Counter::Tries(_) => Ok(reference),
    }
}

fn judged(what: &str, status: Status, tried: u8) -> Result<(), CardError> {
    match status {
        Status::Success => Ok(()),
        Status::OperationBlocked | Status::RemainingRetries(0) => Err(CardError::Blocked {}),
        Status::RemainingRetries(left) => Err(CardError::WrongPin { left: Some(left) }),
        Status::VerificationFailed => Err(CardError::WrongPin { left: None }),
        Status::IncorrectDataParameter | Status::WrongLength => Err(CardError::PinFormat { min: LENGTH.0, max: LENGTH.1 }),
        status => match (u16::from(status), tried) {
            (PAD_TIMEOUT | PAD_CANCELLED, PIN) => Err(CardError::PinNeeded {}),
            (PAD_TOO_SHORT, PIN) => Err(CardError::PinFormat { min: LENGTH.0, max: LENGTH.1 }),
            _ => Err(refused(what, status)),
        },
    }
}

fn wrong_with_counter<C: Transmit>(applet: &mut Applet<'_, C>, reference: u8) -> Result<CardError, CardError> {
    Ok(match counter(applet, reference)? {
        Counter::Tries(Tries::Left(left)) => CardError::WrongPin { left: Some(left) },
        Counter::Tries(Tries::Blocked) => CardError::Blocked {},
        Counter::Tries(Tries::Unknown) | Counter::Open => CardError::WrongPin { left: None },
    })
}

fn by_hand<C: Transmit>(applet: &mut Applet<'_, C>, reference: u8) -> Result<Status, CardError> {
    let mut verify = [0xFF; 13];
    verify[..5].copy_from_slice(&[0, VERIFY, 0, reference, 8]);
    let answer = applet.card().verify_by_pad(&verify)?;
    match answer.last_chunk() {
        Some([high, low]) => Ok(Status::from(u16::from_be_bytes([*high, *low]))),
        None => Err(CardError::Failed { detail: "the pad gave no status".to_owned() }),
    }
}

/// A PIN or PUK as the card takes it, if it has the form of one: digits, and on a YubiKey any other printable ASCII.
fn padded<C: Transmit>(applet: &mut Applet<'_, C>, secret: &Secret) -> Result<Zeroizing<[u8; 8]>, CardError> {
    let bytes = secret.expose();
    let (min, max) = LENGTH;
    let right_length = (usize::from(min)..=usize::from(max)).contains(&bytes.len());
    let digits = bytes.iter().all(u8::is_ascii_digit);
    let right_letters = digits || (bytes.iter().all(u8::is_ascii_graphic) && applet.is_yubikey()?);
    if !right_length || !right_letters {
        return Err(CardError::PinFormat { min, max });
    }
    let mut block = Zeroizing::new([0xFF; 8]);
    block[..bytes.len()].copy_from_slice(bytes);
    Ok(block)
}
