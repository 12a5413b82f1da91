//! What is kept of a mail: enough to judge it again when other certificates are found, and nothing that a person wrote.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Kind;
use super::gate::{Reason, Standing, Why};
use crate::certificate::{Certificate, Fingerprint};

/// A mail that concerned a programme, as it is kept: its text and its other headers are forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// See [`Facts::digest`](super::Facts::digest).
    pub digest: Fingerprint,
    /// SHA-256 of its body.
    pub body: Fingerprint,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The programme whose authority it is from, or says that it is.
    pub programme: String,
    /// What it is about.
    pub kind: Kind,
    /// What can be said of it without knowing the certificate.
    pub standing: Standing,
    /// From whom it says that it is.
    pub sender: String,
    /// When it was written.
    pub date: Option<DateTime<Utc>>,
    /// When it came.
    pub arrived: DateTime<Utc>,
    /// What leads to the certificate.
    pub content: Content,
    /// The keys that signed it, where it is trusted: name and SHA-256.
    pub keys: Vec<(String, Fingerprint)>,
}

/// What a letter says that leads to a certificate and further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// To which addresses it is.
    pub to: Vec<String>,
    /// They stand in a text that S/MIME signs, perhaps among others.
    pub sealed: bool,
    /// The certificate's serial number, lower-case hex.
    pub serial: Option<String>,
    /// Where it leads; never kept of one that is not trusted.
    pub link: Option<String>,
}

/// What a letter is in view of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'letter> {
    /// What it is about.
    pub kind: Kind,
    /// Whether it may be believed.
    pub standing: Standing,
    link: Option<&'letter str>,
}

impl<'letter> Verdict<'letter> {
    /// The link that may be offered for a click: only that of a trusted mail.
    pub fn link(&self) -> Option<&'letter str> {
        self.link.filter(|_| self.standing == Standing::Trusted)
    }
}

impl Letter {
    /// How many addresses are kept: those of more are to a crowd.
    pub const MOST_ADDRESSES: usize = 8;

    /// Whether it is about this certificate: by the serial number if it names one, else by an address.
    pub fn is_about(&self, certificate: &Certificate) -> bool {
        match &self.content.serial {
            Some(serial) => *serial == certificate.serial_hex(),
            None => self.content.to.iter().any(|to| certificate.has_address(to)),
        }
    }

    /// What it is for this certificate, which it [is about](Self::is_about): trusted only if it is to its holder alone.
    pub fn for_certificate(&self, certificate: &Certificate) -> Verdict<'_> {
        let mut to = self.content.to.iter();
        let addressed = if self.content.sealed {
            // The number in what was signed is enough; of the addresses in a text one may be the authority's own.
            self.content.serial.is_some() || to.any(|to| certificate.has_address(to))
        } else {
            !self.content.to.is_empty() && to.all(|to| certificate.has_address(to))
        };
        self.with((!addressed).then(|| Why::NotAddressed.about("")))
    }

    /// What it is as long as nobody knows the certificate.
    pub fn by_itself(&self) -> Verdict<'_> {
        self.with(None)
    }

    /// What it is where nothing waits for it.
    pub fn unawaited(&self) -> Verdict<'_> {
        self.with(Some(Why::Unawaited.about("")))
    }

    fn with(&self, more: Option<Reason>) -> Verdict<'_> {
        let reasons = self.standing.reasons().iter().cloned().chain(more).collect();
        Verdict { kind: self.kind, standing: Standing::of(reasons), link: self.content.link.as_deref() }
    }

    /// Whether reading the mail again may bring more: a server could not be asked.
    pub fn is_worth_another_try(&self) -> bool {
        self.standing.reasons().iter().any(|reason| reason.why == Why::Unresolved)
    }
}
