//! The protocols spoken to whoever issues. What is asked for and when is the runner's.

use std::error::Error as _;

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::programme::{Correspondence, Page, Remote};

pub mod answers;
pub(crate) mod est;
mod https;
pub mod name;
pub mod self_signed;
pub mod signed_request;
pub mod simulated;

use crate::courier::Courier;
use crate::outgoing::Outgoing;
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
    /// One that takes signed requests over HTTPS.
    SignedRequest {
        /// It.
        remote: Remote,
        /// Who goes there.
        courier: &'run Courier,
    },
    /// One that takes signed mails. They are sent by [`Ground::send_mail`](crate::runner), for which the person's password is needed.
    ByMail {
        /// It.
        letter: Correspondence,
        /// The person's mail server.
        outgoing: Option<Outgoing>,
    },
    /// One at whose page the person renews.
    Person {
        /// What is known of it.
        page: Page,
    },
    /// One that speaks EST. Its requests are sent by [`est::enrol`], during which the old key signs.
    Est {
        /// It.
        remote: Remote,
        /// Who goes there.
        courier: &'run Courier,
    },
}

/// What came of sending the requests.
pub(crate) struct Submitted {
    /// How the authority calls the order.
    pub(crate) order: String,
    /// What it issued at once (DER), in no order.
    pub(crate) issued: Vec<Vec<u8>>,
}

/// Why the requests were not taken, as far as that is known.
pub(crate) struct Failed {
    /// As the person is told it.
    pub(crate) problem: Problem,
    /// Whether the authority may have taken them all the same.
    pub(crate) may_have_arrived: bool,
}

impl Failed {
    pub(crate) fn before(problem: Problem) -> Self {
        Self { problem, may_have_arrived: false }
    }

    pub(crate) fn maybe(problem: Problem) -> Self {
        Self { problem, may_have_arrived: true }
    }

    /// By what a call's problem says of it.
    pub(crate) fn of(problem: Problem) -> Self {
        let before = match &problem {
            // It had no connection, or none that it trusted, or the server said that it did not take it.
            Problem::AuthorityUnreachable { .. } | Problem::AuthorityUntrusted { .. } | Problem::AuthorityRefused { .. } => {
                true
            }
            Problem::AuthorityBusy { status, .. } => matches!(status.as_str(), "429" | "503"),
            _ => false,
        };
        Self { problem, may_have_arrived: !before }
    }
}

/// How far an order is.
pub(crate) enum Progress {
    /// It waits, for the reason that the person is told.
    Waits(Problem),
    /// It is done. The certificates (DER), in no order; none, where they are only handed over when they are fetched.
    Issued(Vec<Vec<u8>>),
}

/// Whose word for a new certificate counts.
pub(crate) enum Trust {
    /// This certificate's (DER) key must have signed it.
    Issuer(Vec<u8>),
    /// A chain must lead to one of these (DER).
    Anchors(Vec<Vec<u8>>),
    /// Its holder's, who has brought it here.
    Holder,
}

impl Issuer<'_> {
    /// Whether it can be asked which orders it has, so that nothing else need tell whether one arrived.
    pub(crate) fn tells_orders(&self) -> bool {
        match self {
            Self::Oneself | Self::Person { .. } | Self::Simulated { .. } => true,
            Self::SignedRequest { remote, .. } => remote.orders.is_some(),
            Self::Est { .. } | Self::ByMail { .. } => false,
        }
    }

    /// Sends the requests, all or none.
    pub(crate) async fn submit(&self, messages: &[&[u8]]) -> Result<Submitted, Failed> {
        match self {
            Self::Oneself | Self::Person { .. } | Self::Est { .. } | Self::ByMail { .. } => Err(Failed::before(nobody())),
            Self::Simulated { authority, rules, now } => {
                let order = theirs(authority.submit(messages, *rules, *now)).await.map_err(Failed::maybe)?;
                Ok(Submitted { order, issued: Vec::new() })
            }
            Self::SignedRequest { remote, courier } => {
                shares::spent(Whose::Authority, https::submit(courier, remote, messages)).await
            }
        }
    }

    /// The order of these very requests, if it has them. [`Problem::MaybeSent`] where nobody can tell.
    pub(crate) async fn order_of(&self, messages: &[&[u8]]) -> Result<Option<String>, Problem> {
        match self {
            Self::Oneself | Self::Person { .. } => Err(nobody()),
            Self::Simulated { authority, .. } => theirs(authority.order_of(messages)).await,
            Self::SignedRequest { remote, courier } => {
                shares::spent(Whose::Authority, https::order_of(courier, remote, messages)).await
            }
            Self::Est { remote, .. } => est::may_resend(remote).map(|()| None),
            Self::ByMail { letter, .. } => Err(Problem::MaybeSent { host: letter.to.as_str().to_owned() }),
        }
    }

    /// Whether it has issued. Asking changes nothing.
    pub(crate) async fn progress(&self, order: &str) -> Result<Progress, Problem> {
        match self {
            Self::Oneself | Self::Person { .. } | Self::Est { .. } => Err(nobody()),
            Self::ByMail { letter, .. } => {
                Ok(Progress::Waits(Problem::AwaitingMail { address: letter.to.as_str().to_owned() }))
            }
            Self::Simulated { authority, .. } => Ok(if theirs(authority.issued(order)).await? {
                Progress::Issued(Vec::new())
            } else {
                Progress::Waits(Problem::NotYetIssued { order: order.to_owned() })
            }),
            Self::SignedRequest { remote, courier } => {
                shares::spent(Whose::Authority, https::progress(courier, remote, order)).await
            }
        }
    }

    /// The certificates (DER) of an order that is issued, in no order, and perhaps others with them.
    pub(crate) async fn fetch(&self, order: &str) -> Result<Vec<Vec<u8>>, Problem> {
        match self {
            // EST hands them over when it is asked.
            Self::Oneself | Self::Person { .. } | Self::Est { .. } => Err(nobody()),
            Self::Simulated { authority, .. } => theirs(authority.fetch(order)).await,
            Self::SignedRequest { .. } | Self::ByMail { .. } => match self.progress(order).await? {
                Progress::Issued(certificates) => Ok(certificates),
                Progress::Waits(problem) => Err(problem),
            },
        }
    }

    /// Certificates (DER) of the authority's own that may be links of chains.
    pub(crate) async fn links(&self) -> Result<Vec<Vec<u8>>, Problem> {
        match self {
            Self::Est { remote, courier } => shares::spent(Whose::Authority, est::links(courier, remote)).await,
            Self::Oneself | Self::Person { .. } | Self::Simulated { .. } | Self::SignedRequest { .. } | Self::ByMail { .. } => {
                Ok(Vec::new())
            }
        }
    }

    /// Looks whether a request for a key of this kind can be what it wants. Changes nothing.
    pub(crate) async fn suits(&self, key: KeyAlgorithm) -> Result<(), Problem> {
        match self {
            Self::Est { remote, courier } => shares::spent(Whose::Authority, est::suits(courier, remote, key)).await,
            Self::ByMail { outgoing: None, .. } => Err(Problem::NoMailServer {}),
            Self::Oneself | Self::Person { .. } | Self::Simulated { .. } | Self::SignedRequest { .. } | Self::ByMail { .. } => {
                Ok(())
            }
        }
    }

    /// Whose word counts for this certificate (DER).
    pub(crate) async fn trust(&self, certificate: &[u8]) -> Result<Trust, Problem> {
        match self {
            Self::Oneself => Ok(Trust::Issuer(certificate.to_vec())),
            Self::ByMail { letter, .. } => Ok(Trust::Anchors(letter.anchors.ders().to_vec())),
            Self::Person { page } => {
                Ok(page.anchors.as_ref().map_or(Trust::Holder, |anchors| Trust::Anchors(anchors.ders().to_vec())))
            }
            Self::Simulated { authority, .. } => theirs(authority.ca()).await.map(Trust::Issuer),
            Self::SignedRequest { remote, .. } | Self::Est { remote, .. } => Ok(Trust::Anchors(remote.anchors.ders().to_vec())),
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
