//! Writing a certificate beside its key, and nothing over anything of another key.

use obnova_core::card::Spot;

use super::Transmit;
use super::applet::{Applet, Told};
use super::key::PublicKey;
use super::management;
use super::object::{self, Stored};
use super::slot::Slot;
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

/// Writes a certificate beside its key and reads it back.
pub(super) fn install<C: Transmit>(
    applet: &mut Applet<'_, C>,
    at: &Spot,
    certificate: &[u8],
    secrets: &Secrets,
) -> Result<(), CardError> {
    let slot = Slot::parse(at)?;
    let key = key_of(certificate)?;
    match applet.metadata(slot)?.key {
        Told::Key(told) if told == key => {}
        Told::Key(_) | Told::None => return Err(CardError::KeyMissing { spot: at.clone() }),
        // Nothing tells it but the certificate that is there already, if one is.
        Told::Nothing => {}
    }
    match applet.certificate(slot)? {
        Stored::Certificate(stored) if stored == certificate => return Ok(()),
        Stored::Certificate(stored) if PublicKey::of_certificate(&stored) == Some(key) => {}
        Stored::Nothing => {}
        Stored::Certificate(_) | Stored::Strange => return Err(CardError::Occupied { spot: at.clone() }),
    }
    management::authenticate(applet, secrets)?;
    write(applet, slot, certificate)
}

/// The key that a certificate is of.
pub(super) fn key_of(certificate: &[u8]) -> Result<PublicKey, CardError> {
    PublicKey::of_certificate(certificate).ok_or_else(|| CardError::Failed { detail: "no certificate was given".to_owned() })
}

/// Writes it and reads it back. Needs the management key to have been proved.
pub(super) fn write<C: Transmit>(applet: &mut Applet<'_, C>, slot: Slot, certificate: &[u8]) -> Result<(), CardError> {
    applet.put(slot.object(), &object::certificate(certificate))?;
    if applet.certificate(slot)? == Stored::Certificate(certificate.to_vec()) {
        Ok(())
    } else {
        Err(CardError::Failed { detail: "the certificate read back is another one".to_owned() })
    }
}
