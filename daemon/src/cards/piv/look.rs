//! What is on a card, told without any secret and without changing anything.

use obnova_core::card::{Card, CardKind, Presence, SpotState, Tries};
use obnova_core::job::Bytes;

use super::Transmit;
use super::applet::{Applet, Metadata, Policies, Told};
use super::key::PublicKey;
use super::object::Stored;
use super::pin::{self, Counter};
use super::slot::Slot;
use crate::cards::step::CardError;

/// Looks at everything. The reader's name is the caller's to fill in.
pub(super) fn look<C: Transmit>(applet: &mut Applet<'_, C>) -> Result<Card, CardError> {
    let place = applet.place()?;
    let kind = applet.kind()?;
    let (model, serial) = (model(applet)?, applet.serial()?.unwrap_or_default());
    let label = [model.as_str(), serial.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let mut spots = Vec::new();
    for slot in Slot::all() {
        let state = spot(applet, kind, slot)?;
        // Where such a card makes no key, only what is there is worth telling.
        if kind != CardKind::Fixed || slot.retired_number().is_none() || state.key != Presence::Unproven {
            spots.push(state);
        }
    }
    Ok(Card {
        place,
        kind,
        label,
        model,
        serial,
        reader: String::new(),
        pin: pin_tries(applet)?,
        puk: tries(applet.secret_metadata(pin::PUK)?.left),
        pin_length: pin::LENGTH,
        pin_pad: applet.card().has_pad(),
        algorithms: applet.algorithms()?,
        spots,
    })
}

fn model<C: Transmit>(applet: &mut Applet<'_, C>) -> Result<String, CardError> {
    Ok(match applet.version()? {
        Some([major, minor, patch]) if applet.is_yubikey()? => format!("YubiKey {major}.{minor}.{patch}"),
        _ => applet.label().to_owned(),
    })
}

fn spot<C: Transmit>(applet: &mut Applet<'_, C>, kind: CardKind, slot: Slot) -> Result<SpotState, CardError> {
    // A card that does not know the command is not asked 24 times.
    let mut metadata = match kind {
        CardKind::Fixed => Metadata { key: Told::Nothing, policies: None },
        _ => applet.metadata(slot)?,
    };
    let stored = applet.certificate(slot)?;
    // A certificate whose key is not there belongs to nobody who could renew it: that is asked twice.
    if let (Told::None, Stored::Certificate(_)) = (&metadata.key, &stored) {
        metadata = applet.metadata(slot)?;
    }
    let Metadata { key, policies } = metadata;
    let key = match (&key, &stored) {
        (Told::Key(key), _) => Presence::Key(Bytes(key.to_spki()?)),
        (Told::None, _) => Presence::Free,
        (Told::Nothing, Stored::Nothing) => Presence::Unproven,
        (Told::Nothing, Stored::Certificate(der)) => match PublicKey::of_certificate(der) {
            Some(key) => Presence::Key(Bytes(key.to_spki()?)),
            None => Presence::Unknown,
        },
        (Told::Nothing, Stored::Strange) => Presence::Unknown,
    };
    // Free with something strange beside it is not free for us.
    let key = if key == Presence::Free && stored == Stored::Strange { Presence::Unknown } else { key };
    let certificate = match stored {
        Stored::Certificate(der) => Some(Bytes(der)),
        Stored::Nothing | Stored::Strange => None,
    };
    Ok(SpotState {
        spot: slot.spot(),
        key,
        certificate,
        always: policies.map(Policies::always),
        touch: policies.is_some_and(Policies::touch),
    })
}

/// Metadata tells the tries also while somebody has verified; an empty VERIFY does not.
fn pin_tries<C: Transmit>(applet: &mut Applet<'_, C>) -> Result<Tries, CardError> {
    let reference = applet.pin_reference()?;
    match pin::counter(applet, reference)? {
        Counter::Tries(tries) => Ok(tries),
        Counter::Open => Ok(tries(applet.secret_metadata(reference)?.left)),
    }
}

fn tries(left: Option<u8>) -> Tries {
    match left {
        Some(0) => Tries::Blocked,
        Some(left) => Tries::Left(left),
        None => Tries::Unknown,
    }
}
