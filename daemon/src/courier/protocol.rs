//! What the daemon and obnova-courier say to each other over their socket pair. Both ends share these types; neither the starting
//! nor the doing is in here.
//!
//! The daemon sends one frame with an [`Errand`] as JSON and, where the errand says so, further ones. The courier answers with one
//! frame, a [`Report`] as JSON (or one for each mail), and exits. Before, it may ask with [`Report::Sign`] as often as TLS needs it; each is answered with a
//! frame of bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::mail::Facts;
use obnova_core::mailbox::{Login as MailLogin, Security};
use obnova_core::revocation::Why;
use serde::{Deserialize, Serialize};

use crate::companions::Bytes;

/// What the courier is sent for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "errand", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Errand {
    /// Asks a server over HTTPS. Answer: [`Report::Answered`].
    Ask {
        /// What.
        call: Call,
    },
    /// Fetches what an address out of a certificate leads to. Answer: [`Report::Fetched`].
    Fetch {
        /// What.
        source: Source,
    },
    /// Finds the mail server that a domain names. Answer: [`Report::Found`].
    Find {
        /// The domain.
        domain: String,
        /// Who is asked.
        names: Names,
    },
    /// Reads a mailbox as long as the connection lasts. What opens it follows in a frame. Answers: [`Report::News`], the last of which is
    /// [`News::Over`].
    Keep {
        /// Which.
        post: Box<Post>,
    },
    /// Sends a mail. A frame with the password follows, empty where nobody logs in. Answer: [`Report::Dispatched`].
    Dispatch {
        /// What, and through whom.
        dispatch: Dispatch,
    },
    /// Finds out about mails until the daemon hangs up. For each, a frame with the time at which it came, as JSON, and one with its
    /// bytes follow; answer to each: [`Report::Read`].
    Read {
        /// Who is asked about its signatures.
        names: Names,
    },
}

/// What the courier brings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", content = "with", rename_all = "kebab-case")]
pub enum Report {
    /// The key of the [`Login`] is to sign this: PKCS #1 v1.5 with SHA-256 for RSA, ECDSA (DER form) with SHA-256 for P-256 and with
    /// SHA-384 for P-384.
    Sign(Bytes),
    /// The server's answer, or why there is none.
    Answered(Result<Answer, Problem>),
    /// What the address leads to, or why there is nothing.
    Fetched(Result<Bytes, Why>),
    /// The server has taken the mail, or why not.
    Dispatched(Result<(), Undispatched>),
    /// What there is to know about a mail, or why there is nothing.
    Read(Result<Box<Facts>, Unread>),
    /// The mail server that a domain names.
    Found(Option<Host>),
    /// What there is to tell of a mailbox.
    News(News),
    /// The errand was not understood: programs of different versions.
    Refused(String),
}

/// What is asked of a server, and whom it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The address.
    pub to: String,
    /// Host and port, as the person is told them.
    pub host: String,
    /// What is sent, and its media type; `None` only asks.
    pub body: Option<(String, Bytes)>,
    /// Who must have signed the chain of the server's certificate (DER).
    pub anchors: Vec<Bytes>,
    /// How many seconds it has; besides, the person and the card have theirs, where somebody logs in.
    pub seconds: u32,
    /// Who logs in; `None`: nobody.
    pub login: Option<Login>,
}

/// Who logs in during the handshake. The key itself is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The certificate (DER).
    pub certificate: Bytes,
    /// The kind of its key.
    pub key: KeyAlgorithm,
}

impl Call {
    /// How long it may take.
    pub fn deadline(&self) -> Duration {
        /// How long the person and the card have where the old key signs during the call.
        const SIGNING: Duration = Duration::from_mins(2);
        Duration::from_secs(self.seconds.into()) + if self.login.is_some() { SIGNING } else { Duration::ZERO }
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status (RFC 9110 section 15).
    pub status: u16,
    /// Where it sends us.
    pub location: Option<String>,
    /// When it may be asked again.
    pub again: Option<DateTime<Utc>>,
    /// The content.
    pub body: Bytes,
}

/// What is fetched from an address that stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The address, `http` or `https`.
    pub from: String,
    /// What is posted, and its media type; `None` only asks.
    pub body: Option<(String, Bytes)>,
    /// The longest answer in bytes that is read.
    pub longest: usize,
    /// How many seconds it has for everything.
    pub seconds: u32,
    /// How far the address may lead.
    pub within: Within,
}

/// How far an address may lead that a stranger has written. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// To the addresses of the internet.
    Internet,
    /// To those of the local network, too (RFC 1918, RFC 4193, RFC 6598).
    Network,
    /// To this machine, too.
    Machine,
}

/// A mailbox to be read, and what is known of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// Where it is.
    pub server: Server,
    /// How far its folders were read.
    pub marks: BTreeMap<String, FolderMark>,
    /// What came before is not read.
    pub since: DateTime<Utc>,
    /// Who is asked about signatures.
    pub names: Names,
    /// Mails (folder, unique number) that are not read, because a courier has failed on them.
    pub passed: Vec<(String, u32)>,
}

/// A mail server, and how one logs in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Who logs in.
    pub user: String,
    /// Its name, which its certificate must bear.
    pub host: String,
    /// The port.
    pub port: u16,
    /// When the encryption begins.
    pub security: Security,
    /// How one logs in.
    pub login: MailLogin,
    /// Who may have signed its certificate (PEM); `None`: whom the system trusts.
    pub anchors: Option<Bytes>,
}

impl Server {
    /// Host and port, as the person is told them.
    pub fn name(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

/// A mail server that a domain names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// When the encryption begins.
    pub security: Security,
}

/// How far a folder was read (RFC 3501 section 2.3.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderMark {
    /// `UIDVALIDITY`: with another one, all numbers mean other mails.
    pub validity: u32,
    /// The lowest unique number that was not read; 0: none was.
    pub next: u32,
    /// `HIGHESTMODSEQ` (RFC 7162), where the server counts changes.
    pub modseq: Option<u64>,
    /// Mails that are to be read again: a server could not be asked about them.
    pub again: Vec<Again>,
}

/// A mail that is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Its unique number.
    pub uid: u32,
    /// How often it was read.
    pub tries: u8,
}

/// What there is to tell of a mailbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// It is open.
    Connected {
        /// The server tells by itself what comes.
        pushes: bool,
    },
    /// A mail is about to be looked into.
    Begun {
        /// Its folder.
        folder: String,
        /// Its unique number.
        uid: u32,
    },
    /// What there is to know about it.
    Mail {
        /// That.
        facts: Box<Facts>,
    },
    /// A folder was read so far.
    Mark {
        /// The folder.
        folder: String,
        /// How far.
        mark: FolderMark,
    },
    /// The connection has ended.
    Over(Problem),
}

/// A mail, and the server that is to take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// The server's name.
    pub server: String,
    /// Its port; `None`: the usual one.
    pub port: Option<u16>,
    /// When TLS begins.
    pub security: Security,
    /// Who logs in.
    pub user: Option<String>,
    /// Certificates (PEM) of whom to trust for the server's own, instead of those that the machine trusts.
    pub certificates: Option<Bytes>,
    /// Who sends.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// The mail, with its headers.
    pub mail: Bytes,
}

impl Dispatch {
    /// How long sending it may take.
    pub const DEADLINE: Duration = Duration::from_mins(3);
}

/// Why a mail was not sent, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undispatched {
    /// As the person is told it.
    pub problem: Problem,
    /// Whether the server may have taken it all the same.
    pub may_have_arrived: bool,
}

/// Who is asked what stands under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// The servers that the system names.
    #[default]
    System,
    /// This server.
    Server(SocketAddr),
    /// Nobody: these texts stand under these names (in lower case, without a dot at their end), and there are no others.
    Zone(BTreeMap<String, Vec<Bytes>>),
}

impl Names {
    /// Those of this server, or else those that the system names.
    pub fn of(server: Option<SocketAddr>) -> Self {
        server.map_or(Self::System, Self::Server)
    }

    /// These texts under these names.
    pub fn zone(texts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>) -> Self {
        let bytes = |texts: Vec<Vec<u8>>| texts.into_iter().map(Bytes::from).collect();
        Self::Zone(texts.into_iter().map(|(name, texts)| (name.to_lowercase(), bytes(texts))).collect())
    }
}

/// Why there are no facts about a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// It is longer than one that is read may be.
    #[error("{0} bytes are more than a mail may have that is read")]
    TooLong(usize),
    /// It has no headers.
    #[error("it has no headers")]
    NoMail,
}
