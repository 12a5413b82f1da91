//! The new key or the old one signs, wherever it lives: in a file, on a card, in a token.

use obnova_core::job::{Bytes, Home};
use obnova_core::{Certificate, Problem};

use super::Ground;
use crate::cards::step::{CardAnswer, CardStep};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

impl Ground<'_> {
    /// The new key's signature: PKCS #1 v1.5 with SHA-256 for RSA, ECDSA (DER form) with SHA-256 for P-256 and with SHA-384 for P-384.
    pub(super) async fn sign_with_new(&self, message: &[u8], sitting: &mut Sitting) -> Result<Vec<u8>, Problem> {
        let new = self.new_key()?;
        match &new.home {
            Home::File(_) => {
                let key = self.key_file();
                let secret = sitting.key_secret(self).await?;
                let signature = self.tools.helper.sign(&key, message, self.public_key()?, secret).await;
                signature.map_err(|error| trouble::helper(&error, &key))
            }
            Home::There(_) => Err(super::generate_keys::made_already()),
            Home::Card(reservation) => {
                let step = CardStep::Sign {
                    spot: reservation.spot.clone(),
                    public_key: Bytes(self.public_key()?.to_vec()),
                    message: Bytes(message.to_vec()),
                };
                self.signature(self.at_card(sitting, &new.place, step).await?)
            }
        }
    }

    /// The old key's signature, in the same form.
    pub(super) async fn sign_with_old(&self, message: &[u8], sitting: &mut Sitting) -> Result<Vec<u8>, Problem> {
        let internal = |error: obnova_core::certificate::CertificateError| Problem::Internal { detail: error.to_string() };
        let public_key = Certificate::public_key_in(&self.old_der().await?).map_err(internal)?;
        let place = &self.old()?.place;
        if let Some(reservation) = self.reservation()? {
            let (public_key, message) = (Bytes(public_key), Bytes(message.to_vec()));
            let step = CardStep::Sign { spot: reservation.old.clone(), public_key, message };
            return self.signature(self.at_card(sitting, place, step).await?);
        }
        let gone = || Problem::NoKey { path: place.path().display().to_string() };
        let key = crate::stores::key_file(place).ok_or_else(gone)?;
        let secret = sitting.old_secret(self).await?;
        let signature = self.tools.helper.sign(&key, message, &public_key, secret.as_deref()).await;
        signature.map_err(|error| trouble::helper(&error, &key))
    }

    fn signature(&self, answer: CardAnswer) -> Result<Vec<u8>, Problem> {
        match answer {
            CardAnswer::Signature { signature } => Ok(signature.0),
            other => Err(self.odd_answer(&other)),
        }
    }
}
