//! The protocols spoken to whoever issues. What is asked for and when is the runner's.

use std::error::Error as _;

use chrono::{DateTime, Utc};
use obnova_core::Problem;

pub mod self_signed;
pub mod signed_request;
pub mod simulated;

use crate::shares::{self, Whose};
use simulated::{Refusal, Rules, Simulated};

/// Who issues, as a renewal speaks to them.
pub(crate) enum Issuer<'run> {
    /// The new key signs its own certificate: nobody is asked.
    Oneself,
    /// The authority of rehearsals.
    Simulated {
        /// It.
        authority: &'run Simulated,
        /// What the programme says of it.
        rules: Rules,
        /// Its clock.
        now: DateTime<Utc>,
    },
}

impl Issuer<'_> {
    /// Sends the requests, all or none; how it calls the order. The same bytes again bring the same order.
    pub(crate) async fn submit(&self, messages: &[&[u8]]) -> Result<String, Problem> {
        match self {
            Self::Oneself => Err(nobody()),
            Self::Simulated { authority, rules, now } => theirs(authority.submit(messages, *rules, *now)).await,
        }
    }

    /// The order of these very requests, if it has them.
    pub(crate) async fn order_of(&self, messages: &[&[u8]]) -> Result<Option<String>, Problem> {
        match self {
            Self::Oneself => Err(nobody()),
            Self::Simulated { authority, .. } => theirs(authority.order_of(messages)).await,
        }
    }

    /// Whether it has issued.
    pub(crate) async fn issued(&self, order: &str) -> Result<bool, Problem> {
        match self {
            Self::Oneself => Err(nobody()),
            Self::Simulated { authority, .. } => theirs(authority.issued(order)).await,
        }
    }

    /// The certificates (DER), in the order of the requests.
    pub(crate) async fn fetch(&self, order: &str) -> Result<Vec<Vec<u8>>, Problem> {
        match self {
            Self::Oneself => Err(nobody()),
            Self::Simulated { authority, .. } => theirs(authority.fetch(order)).await,
        }
    }

    /// The certificate (DER) of who must have signed this one.
    pub(crate) async fn issuer(&self, certificate: &[u8]) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Oneself => Ok(certificate.to_vec()),
            Self::Simulated { authority, .. } => theirs(authority.ca()).await,
        }
    }
}

/// What the authority does, in its own time.
async fn theirs<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Problem> {
    shares::spent(Whose::Authority, work).await.map_err(refused)
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        // It has refused nothing: it does not work.
        Refusal::Failed(failure) => {
            let cause = failure.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            Problem::Internal { detail: format!("{failure}{cause}") }
        }
        refusal => Problem::AuthorityRefused { reason: refusal.to_string() },
    }
}

fn nobody() -> Problem {
    Problem::Internal { detail: "self-made".into() }
}
