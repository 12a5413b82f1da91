//! A thing with an owner, a state, a deadline and one next step: what every surface shows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::certificate::Fingerprint;
use crate::elsewhere::Tool;
use crate::place::Place;
use crate::problem::Problem;

/// Names an item: stable over restarts, and without meaning for whoever does not hold this daemon's salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId(pub u64);

impl ItemId {
    /// The id of what `parts` describe, under the salt of this state directory.
    pub fn derive(salt: &str, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new_with_prefix(salt);
        for part in parts {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ItemId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// How much an item matters now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// Good to know.
    Notice,
    /// Something should be done in time.
    Warning,
    /// Something must be done now.
    Critical,
}

/// An item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name for programs.
    pub id: ItemId,
    /// Its name for people.
    pub name: String,
    /// The state, a word of the kind's own.
    pub state: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The last moment at which the next step helps.
    pub deadline: Option<DateTime<Utc>>,
    /// The one next step.
    pub next_step: Option<NextStep>,
    /// What went wrong.
    pub problem: Option<Problem>,
    /// What only its kind has.
    pub kind: Kind,
}

/// What only items of one kind have.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Certificates that are renewed together.
    Identity {
        /// The programme that renews them, if one fits.
        programme: Option<String>,
        /// The tool that renews them instead.
        renewed_by: Option<Tool>,
        /// The earliest end of validity.
        not_after: DateTime<Utc>,
        /// The current certificates: role, certificate, place.
        certificates: Vec<(String, Fingerprint, Place)>,
        /// The unfinished renewal.
        job: Option<u64>,
        /// The mail that invites to renew them.
        letter: Option<Fingerprint>,
    },
    /// A watched place that has no certificate to show.
    Place(Place),
    /// A mailbox.
    Mailbox {
        /// What tells it from every other, as a URI.
        address: String,
    },
    /// A renewal.
    Renewal {
        /// The number of the job.
        job: u64,
        /// The item that is renewed.
        identity: ItemId,
    },
}

impl Kind {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Identity { .. } => "identity",
            Self::Place(_) => "place",
            Self::Mailbox { .. } => "mailbox",
            Self::Renewal { .. } => "renewal",
        }
    }
}

/// The one next step of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Who takes it.
    pub who: Who,
    /// Its kind.
    pub what: &'static str,
    /// Until when.
    pub by: Option<DateTime<Utc>>,
    /// The action that starts it from here.
    pub action: Option<&'static str>,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The person.
    You,
    /// Whoever looks after the machine.
    Administrator,
    /// Whoever issues.
    Authority,
    /// The daemon itself.
    Obnova,
}

impl Who {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::You => "you",
            Self::Administrator => "administrator",
            Self::Authority => "authority",
            Self::Obnova => "obnova",
        }
    }
}
