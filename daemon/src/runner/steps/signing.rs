//! The new key or the old one signs, wherever it lives: in a file, on a card, in a token.

use obnova_core::job::{Bytes, Home};
use obnova_core::programme::Remote;
use obnova_core::{Certificate, Problem, Step};

use super::{Ground, missing};
use crate::authorities::{Failed, est};
use crate::cards::step::{CardAnswer, CardStep};
use crate::courier::Turn;
use crate::courier::protocol::{Answer, Login};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;
use crate::shares::{self, Whose};

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
            Home::There(_) | Home::Others(_) => Err(super::generate_keys::made_already()),
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

    /// Has asked and tried what opens the old key. Changes nothing.
    pub(super) async fn open_old(&self, sitting: &mut Sitting) -> Result<(), Problem> {
        match self.reservation()? {
            Some(_) => self.open_card(sitting, &self.old()?.place).await,
            None => sitting.old_secret(self).await.map(drop),
        }
    }

    /// Posts the request by EST, during which the old key logs in.
    pub(super) async fn enrol(&self, remote: &Remote, sitting: &mut Sitting) -> Result<Answer, Failed> {
        let begun = async {
            let login = Login { certificate: self.old_der().await?.into(), key: self.old_certificate().await?.key };
            let request = *self.job.messages().first().ok_or_else(|| missing(Step::Request))?;
            self.tools.courier.begin(est::enrol(remote, request, login)).await
        };
        let mut exchange = begun.await.map_err(Failed::before)?;
        loop {
            match shares::spent(Whose::Authority, exchange.next()).await {
                Turn::Over(answer) => return answer.map_err(Failed::of),
                // Without it there is no connection, and nothing is sent.
                Turn::Sign(message) => {
                    let signature = self.sign_with_old(&message, sitting).await.map_err(Failed::before)?;
                    exchange.give(&signature).await.map_err(Failed::before)?;
                }
            }
        }
    }

    fn signature(&self, answer: CardAnswer) -> Result<Vec<u8>, Problem> {
        match answer {
            CardAnswer::Signature { signature } => Ok(signature.0),
            other => Err(self.odd_answer(&other)),
        }
    }
}
