//! What a mail is worth: facts that an adapter gathered in, a verdict out. Reads no bytes, asks nobody and knows no clock.
//!
//! No mail starts anything. A trusted one may offer a click; a doubtful one loses its link, never the renewal; a forged one says
//! that somebody tries. Everything in a mail that no signature covers is taken to be an attacker's.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::certificate::Fingerprint;
use crate::job::Bytes;

mod gate;
mod letter;
mod letters;
pub mod link;
mod rules;
#[cfg(test)]
mod tests;

pub use gate::{Reason, Standing, Why, judge};
pub use letter::{Content, Letter, Verdict};
pub use letters::Letters;
pub(crate) use rules::MailSource;
pub(crate) use rules::is_address;
pub use rules::{LetterRule, MailRules, SerialBase};

/// What a mail of an authority is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A certificate ends soon, and may be renewed.
    Invitation,
    /// A certificate has been made.
    Issued,
    /// The authority waits for money.
    PaymentDue,
    /// The authority has refused.
    Rejected,
    /// The authority wants to see that the address is the person's.
    Challenge,
    /// Something else that the authority writes.
    Other,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Issued => "issued",
            Self::PaymentDue => "payment-due",
            Self::Rejected => "rejected",
            Self::Challenge => "challenge",
            Self::Other => "other",
        }
    }
}

/// The headers that a signature must cover and that may stand in a mail but once (RFC 5322 section 3.6, RFC 2045).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Header {
    /// Who writes.
    From,
    /// To whom.
    To,
    /// About what.
    Subject,
    /// When.
    Date,
    /// What tells it from every other mail.
    MessageId,
    /// Whom an answer would reach.
    ReplyTo,
    /// What the body is.
    ContentType,
    /// How the body is written.
    ContentTransferEncoding,
}

impl Header {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::From,
        Self::To,
        Self::Subject,
        Self::Date,
        Self::MessageId,
        Self::ReplyTo,
        Self::ContentType,
        Self::ContentTransferEncoding,
    ];

    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
            Self::Subject => "subject",
            Self::Date => "date",
            Self::MessageId => "message-id",
            Self::ReplyTo => "reply-to",
            Self::ContentType => "content-type",
            Self::ContentTransferEncoding => "content-transfer-encoding",
        }
    }

    /// Whether a signature must name it even where it does not stand in the mail.
    fn is_always_signed(self) -> bool {
        matches!(self, Self::From | Self::To | Self::Subject | Self::Date)
    }
}

/// What was found out about a mail. It lives as long as the judgement takes: only a [`Letter`] is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// SHA-256 of the headers of [`Header::ALL`] and the body: the same for each copy, whatever servers write above.
    pub digest: Fingerprint,
    /// SHA-256 of its body, without the headers.
    pub body: Fingerprint,
    /// When it first came.
    pub arrived: DateTime<Utc>,
    /// What its headers say.
    pub heads: Heads,
    /// Those of [`Header::ALL`] that stand in it, and how often.
    pub counts: Vec<(Header, u32)>,
    /// Its DKIM signatures (RFC 6376), in their order.
    pub signatures: Vec<Signature>,
    /// What the domain in From has published about mail that is not signed (RFC 9989), and whether this one fulfils it.
    pub dmarc: Dmarc,
    /// Its S/MIME signature (RFC 8551), if that is the root of the mail. Then text and links are those of the signed part.
    pub seal: Option<Seal>,
    /// What a server wrote above everything else about the signatures (RFC 8601).
    pub stamp: Option<Stamp>,
    /// What can be read in it, without mails within the mail.
    pub text: String,
    /// Where its links lead, in their order.
    pub links: Vec<Link>,
    /// DER of the certificates that are enclosed, in whatever form.
    #[serde(default)]
    pub certificates: Vec<Bytes>,
    /// What is odd about how it is made: a word in kebab case.
    pub malformed: Option<String>,
}

/// What headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The addresses in From, in lower case.
    pub from: Vec<String>,
    /// The addresses in To, in lower case.
    pub to: Vec<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Date.
    pub date: Option<DateTime<Utc>>,
    /// Message-ID, without its angle brackets.
    pub message_id: Option<String>,
}

/// A DKIM signature, and what came of verifying it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The domain that signs (`d=`), in lower case.
    pub domain: String,
    /// Under which name its key is published (`s=`).
    pub selector: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How it was made.
    pub algorithm: Algorithm,
    /// The names of the headers that it covers (`h=`), in lower case.
    pub covers: Vec<String>,
    /// It covers but the beginning of the body (`l=`).
    pub partial: bool,
    /// The domain says that it only tries out (`t=y`).
    pub testing: bool,
    /// SHA-256 of the published key, where one was found.
    pub key: Option<Fingerprint>,
}

/// What came of verifying a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is good.
    Pass,
    /// It is not, or cannot be understood.
    Broken,
    /// Nobody could be asked for the key: worth another try.
    Unresolved,
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// rsa-sha256, with a key of so many bits.
    RsaSha256(u32),
    /// ed25519-sha256 (RFC 8463).
    Ed25519,
    /// Something weaker or unknown.
    Other,
}

/// Whether a mail fulfils what the domain in From has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dmarc {
    /// Nothing is published, or it does not apply.
    None,
    /// It does.
    Pass,
    /// It does not, and the domain only wants to hear of it.
    Fail,
    /// It does not, and the domain wants it quarantined or rejected.
    Refused,
    /// Nobody could be asked: worth another try.
    Unresolved,
}

/// An S/MIME signature that is the root of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// It is good. Whose it is, is another question.
    pub valid: bool,
    /// SHA-256 of the signer's `SubjectPublicKeyInfo`.
    pub signer: Fingerprint,
    /// The addresses in the signer's certificate, in lower case.
    pub addresses: Vec<String>,
    /// When it says that it was signed (signingTime).
    pub signed_at: Option<DateTime<Utc>>,
    /// The headers within the signed part (RFC 9788).
    pub protected: Option<Heads>,
}

/// The topmost Authentication-Results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The server that wrote it (authserv-id), in lower case.
    pub server: String,
    /// The domains and selectors of signatures that it found good; no selector where it names none.
    pub passed: Vec<(String, Option<String>)>,
    /// It found the mail to fulfil what the domain in From has published.
    pub dmarc_passed: bool,
}

/// A link in a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the person reads; where it stands in plain text, the target itself.
    pub text: String,
    /// Where it leads.
    pub target: String,
}
