//! What is written into the journal. State is the fold of it; the log is a view of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::certificate::Fingerprint;
use crate::item::ItemId;
use crate::job::JobEvent;
use crate::mail::Letter;
use crate::mailbox::Mailbox;
use crate::place::Place;
use crate::revocation::Revoked;
use crate::schedule::Threshold;

/// A record with its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position, from 1.
    pub sequence: u64,
    /// When it was written, by the wall clock of then.
    pub at: DateTime<Utc>,
    /// What was written.
    pub record: Record,
}

/// Something that a person or a job did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The journal began. The salt makes this journal's item ids unlike any other's.
    Born {
        /// Random, hex.
        salt: String,
    },
    /// A place is watched, because a person or the configuration named it.
    Watched {
        /// The place.
        place: Place,
    },
    /// A place that was named is watched no more.
    Unwatched {
        /// The place.
        place: Place,
    },
    /// A place below a watched directory is passed over.
    Excluded {
        /// The place.
        place: Place,
    },
    /// The password of a place is in the person's keyring, because they wanted it remembered.
    Remembered {
        /// The place.
        place: Place,
    },
    /// It is there no longer.
    Forgotten {
        /// The place.
        place: Place,
    },
    /// A person was told, or there was nobody to tell.
    Announced {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// The item concerned.
        item: ItemId,
        /// Its name then.
        name: String,
        /// What for.
        threshold: Threshold,
        /// The certificate's end of validity.
        not_after: DateTime<Utc>,
        /// Somebody who shows notices was there.
        shown: bool,
    },
    /// A person has clicked or closed the notice.
    Seen {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// Its item's name then.
        name: String,
    },
    /// A person wants to be told again later.
    Snoozed {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// Its item's name then.
        name: String,
        /// When to tell again.
        until: DateTime<Utc>,
    },
    /// Another certificate stands where this item's one stood; not by a renewal of ours.
    Replaced {
        /// The item's name.
        name: String,
        /// The place.
        place: Place,
    },
    /// A mailbox is read, because a person or the configuration named it; in place of one at the same address.
    MailboxAdded {
        /// The mailbox.
        mailbox: Box<Mailbox>,
    },
    /// A mailbox is read no more.
    MailboxRemoved {
        /// Its address.
        address: String,
    },
    /// A mail came that concerns a programme.
    Letter {
        /// What is kept of it.
        letter: Box<Letter>,
    },
    /// A person was told of a letter, or of one that did not come; or there was nobody to tell.
    LetterTold {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// The item concerned.
        item: ItemId,
        /// Its name then.
        name: String,
        /// What was told.
        word: Word,
    },
    /// A person said that a renewal has been ordered: a letter is to follow.
    Ordered {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// Its item's name then.
        name: String,
    },
    /// The issuer of a certificate has revoked it, as its signature proves.
    Revoked {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// The item concerned.
        item: ItemId,
        /// Its name then.
        name: String,
        /// Since when, and why.
        revoked: Revoked,
    },
    /// The issuer of a certificate that was suspended has taken that back.
    Reinstated {
        /// The certificate concerned.
        certificate: Fingerprint,
        /// The item concerned.
        item: ItemId,
        /// Its name then.
        name: String,
    },
    /// Something happened to a job.
    Job {
        /// The number of the job.
        job: u64,
        /// What happened.
        what: JobEvent,
    },
}

/// What a person is told of letters; what matters more stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// One that means to deceive aims at a certificate.
    Forged,
    /// The authority invites to renew.
    Invited,
    /// Somebody does who says to be the authority.
    Doubtful,
    /// The one that was ordered did not come.
    Missing,
}

impl Word {
    /// The event that it is.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "letter-forged",
            Self::Invited => "letter-invited",
            Self::Doubtful => "letter-doubtful",
            Self::Missing => "letter-missing",
        }
    }
}
