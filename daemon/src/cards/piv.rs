//! PIV cards (NIST SP 800-73-4, and what a YubiKey adds to it): one step of a renewal as the commands of one transaction. Owns no
//! reader and asks no person; whatever a card answers is taken for possible, bounded, and not believed without need.
//!
//! Three rules hold here and nowhere else. What a card does not say is unknown, never empty: a key is made only in a slot that
//! was proved to be free in the same transaction. A secret is sent once, after its counter was read. Where the PIN may have
//! been verified, the card is reset before anybody else gets at it.

mod apdu;
mod applet;
mod generate;
mod install;
mod key;
mod look;
mod management;
mod object;
mod pin;
mod promote;
pub mod simulated;
mod slot;
#[cfg(test)]
mod tests;
mod tlv;
mod using;

use obnova_core::Place;
use zeroize::Zeroizing;

use super::secrets::Secrets;
use super::step::{CardAnswer, CardError, CardStep};
use applet::Applet;

/// A card within a transaction: nobody else speaks to it.
pub trait Transmit {
    /// Sends one command and returns its answer with the status word. The command may hold a secret and the answer may be one.
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError>;

    /// Resets the card, which forgets whose PIN was verified; the transaction goes on.
    fn reset(&mut self) -> Result<(), TransportError>;

    /// Whether the reader has a pad on which a PIN is typed (PC/SC part 10).
    fn has_pad(&mut self) -> bool;

    /// Has a PIN typed on the pad. `verify` is the VERIFY command whose data field, 8 bytes, the reader fills with ASCII digits
    /// and then with `FF`. Returns the card's status word, or the reader's own in its place.
    fn verify_by_pad(&mut self, verify: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError>;
}

/// Why a command did not reach the card, or its answer did not come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The card is not there any more.
    #[error("the card was pulled")]
    Removed,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<TransportError> for CardError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Removed => Self::Removed {},
            TransportError::Failed(detail) => Self::Failed { detail },
        }
    }
}

/// Takes one step. Where a `place` is given, the card must be the one of that place, or it is
/// [`Absent`](CardError::Absent).
///
/// After an error the card may be anywhere between before and after the step; every step may be taken again, and
/// `Generate` alone finds what it has done in its way ([`Occupied`](CardError::Occupied)).
pub fn perform<C: Transmit>(
    card: &mut C,
    place: Option<&Place>,
    step: &CardStep,
    secrets: &Secrets,
) -> Result<CardAnswer, CardError> {
    let mut applet = Applet::select(card)?;
    let outcome = take(&mut applet, place, step, secrets);
    let closed = applet.close();
    let answer = outcome?;
    closed?;
    Ok(answer)
}

fn take<C: Transmit>(
    applet: &mut Applet<'_, C>,
    place: Option<&Place>,
    step: &CardStep,
    secrets: &Secrets,
) -> Result<CardAnswer, CardError> {
    if let Some(place) = place
        && applet.place()? != *place
    {
        return Err(CardError::Absent {});
    }
    match step {
        CardStep::Look {} => Ok(CardAnswer::Card { card: Box::new(look::look(applet)?) }),
        CardStep::Verify {} => pin::open(applet, secrets).map(done),
        CardStep::Generate { spot, algorithm, like, label: _ } => {
            let public_key = generate::generate(applet, spot, *algorithm, like, secrets)?;
            Ok(CardAnswer::PublicKey { public_key })
        }
        CardStep::Sign { spot, public_key, message } => {
            let signature = using::sign(applet, spot, &public_key.0, &message.0, secrets)?;
            Ok(CardAnswer::Signature { signature })
        }
        CardStep::Decrypt { spot, public_key, ciphertext } => {
            let plain = using::decrypt(applet, spot, &public_key.0, &ciphertext.0, secrets)?;
            Ok(CardAnswer::Plain { plain })
        }
        CardStep::Install { spot, certificate, label: _ } => install::install(applet, spot, &certificate.0, secrets).map(done),
        CardStep::Promote { from, to, archive, new, old } => {
            promote::promote(applet, &promote::Swap::parse(from, to, archive, &new.0, &old.0)?, secrets).map(done)
        }
        CardStep::Announce {} => promote::announce(applet, secrets).map(done),
        CardStep::ChangePin {} => pin::change(applet, secrets).map(done),
        CardStep::Unblock {} => pin::unblock(applet, secrets).map(done),
    }
}

fn done((): ()) -> CardAnswer {
    CardAnswer::Done {}
}
