//! A mailbox in which letters of authorities may come: where it is, and how things stand with it. Reaching it is the daemon's.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::item::{Level, NextStep, Who};
use crate::place::{Place, PlaceError};
use crate::problem::Problem;

/// A mailbox that is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Mailbox {
    /// A directory into which each mail is delivered as a file (maildir(5)).
    Maildir {
        /// The directory.
        directory: Place,
    },
    /// On a server (IMAP, RFC 3501 and RFC 9051).
    Imap(Box<Imap>),
}

/// A mailbox on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imap {
    /// Who logs in.
    pub user: String,
    /// The server's name, to which its certificate must belong.
    pub host: String,
    /// The port.
    pub port: u16,
    /// When the encryption begins. Nobody ever logs in before.
    pub security: Security,
    /// How one logs in.
    pub login: Login,
    /// Where that comes from by which one logs in.
    pub secret: SecretSource,
    /// A file (PEM) with those who may have signed the server's certificate; `None`: whom the computer trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<String>,
}

/// When the encryption of a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// With the first byte (RFC 8314 section 3.3).
    Tls,
    /// By a command before anything else is said (RFC 3501 section 6.2.1).
    StartTls,
}

impl Security {
    /// The port that is meant where none is named.
    pub fn port(self) -> u16 {
        match self {
            Self::Tls => 993,
            Self::StartTls => 143,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "imaps",
            Self::StartTls => "imap",
        }
    }
}

/// How one logs in to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// By a password (RFC 4616, or the command of that name).
    #[default]
    Password,
    /// By an access token, as Google and Microsoft have it.
    Xoauth2,
    /// By an access token (RFC 7628).
    Oauthbearer,
}

impl Login {
    /// How it is written.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "password" => Some(Self::Password),
            "xoauth2" => Some(Self::Xoauth2),
            "oauthbearer" => Some(Self::Oauthbearer),
            _ => None,
        }
    }
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// The person's keyring, under the mailbox's address.
    Keyring,
    /// systemd's credential of this name.
    Credential(String),
    /// The first line that this command prints.
    Command(String),
}

/// Why a text names no mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is neither `maildir:`, `imaps:` nor `imap:`.
    #[error("unknown-scheme")]
    UnknownScheme,
    /// POP3 knows of no new mail until it is asked, and has no folders.
    #[error("pop3")]
    Pop3,
    /// Nobody is named who logs in, or no server.
    #[error("incomplete")]
    Incomplete,
    /// The directory is none.
    #[error(transparent)]
    Directory(#[from] PlaceError),
}

impl Imap {
    /// Reads `imaps://USER@HOST[:PORT]` or `imap://…`, which is encrypted by STARTTLS; in the user's name `%XX` stands for a byte. The rest
    /// is a password in the keyring and whom the computer trusts.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::UnknownScheme)?;
        let security = match scheme {
            "imaps" => Security::Tls,
            "imap" => Security::StartTls,
            "pop3" | "pop3s" | "pop" | "pops" => return Err(AddressError::Pop3),
            _ => return Err(AddressError::UnknownScheme),
        };
        let (user, server) = rest.rsplit_once('@').ok_or(AddressError::Incomplete)?;
        let server = server.strip_suffix('/').unwrap_or(server);
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| AddressError::Incomplete)?),
            _ => (server, security.port()),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let user = decoded(user).ok_or(AddressError::Incomplete)?;
        if user.is_empty() || host.is_empty() || !host.bytes().all(named) || port == 0 {
            return Err(AddressError::Incomplete);
        }
        let (login, secret) = (Login::Password, SecretSource::Keyring);
        Ok(Self { user, host, port, security, login, secret, anchors: None })
    }

    /// Host and port, as the person is told them.
    pub fn server(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

/// What `%XX` stands for; `None`: no text without control characters.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl Mailbox {
    /// Reads how a mailbox is written as a URI, local or on a server.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match Self::local(text) {
            Some(local) => Ok(local?),
            None => Imap::parse(text).map(|imap| Self::Imap(Box::new(imap))),
        }
    }

    /// Reads how a person writes a mailbox that lies in files: `maildir:/PATH`; `None` where it is no such.
    pub fn local(text: &str) -> Option<Result<Self, PlaceError>> {
        let path = text.strip_prefix("maildir:")?;
        Some(Place::parse(&format!("file:{path}")).map(|directory| Self::Maildir { directory }))
    }

    /// What tells it from every other, as a URI.
    pub fn address(&self) -> String {
        match self {
            Self::Maildir { directory } => {
                let path = directory.as_str().split_once(':').map_or("", |(_, path)| path);
                format!("maildir:{path}")
            }
            Self::Imap(imap) => format!("{}://{}@{}", imap.security.scheme(), encoded(&imap.user), imap.server()),
        }
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        match self {
            Self::Maildir { directory } => directory.shown(),
            Self::Imap(imap) if imap.user.contains('@') => imap.user.clone(),
            Self::Imap(imap) => format!("{}@{}", imap.user, imap.host),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

/// How things stand with a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is being looked for.
    #[default]
    Connecting,
    /// What comes into it is seen.
    Connected,
    /// What comes into it is not seen.
    Apart {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        problem: Problem,
    },
}

impl Standing {
    /// The word for it.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Apart { problem, .. } => match problem {
                Problem::PlaceMissing { .. } => "missing",
                Problem::MailUnreachable { .. } => "unreachable",
                Problem::MailRefused { .. } => "refused",
                Problem::MailUntrusted { .. } | Problem::MailBare { .. } => "untrusted",
                Problem::MailSecret { .. } | Problem::KeyringClosed {} => "locked",
                _ => "unreadable",
            },
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Connecting | Self::Connected => Level::Ok,
            // It comes back by itself, and a laptop is away from the network every day.
            Self::Apart { problem: Problem::MailUnreachable { .. }, .. } => Level::Notice,
            Self::Apart { .. } => Level::Warning,
        }
    }

    /// What is to be done about it.
    pub fn next_step(&self) -> Option<NextStep> {
        let problem = self.problem()?;
        let (what, action) = match problem {
            Problem::MailRefused { .. } | Problem::MailSecret { .. } => ("sign-in", Some("sign-in")),
            Problem::MailUnreachable { .. } => ("wait", None),
            _ => ("repair", None),
        };
        Some(NextStep { who: problem.who(), what, by: None, action })
    }

    /// What went wrong.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Connecting | Self::Connected => None,
            Self::Apart { problem, .. } => Some(problem),
        }
    }

    /// Whether what comes into it is seen.
    pub fn is_connected(&self) -> bool {
        *self == Self::Connected
    }

    /// Whether nothing helps but somebody's doing.
    pub fn needs_somebody(&self) -> bool {
        self.next_step().is_some_and(|next| next.who != Who::Obnova)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_on_a_server_is_written_as_a_uri() {
        let mailbox = Mailbox::parse("imaps://anna%40example.org@IMAP.example.org").expect("a mailbox");
        assert_eq!(mailbox.address(), "imaps://anna%40example.org@imap.example.org:993");
        assert_eq!((Mailbox::parse(&mailbox.address()), mailbox.name().as_str()), (Ok(mailbox.clone()), "anna@example.org"));
        let Ok(Mailbox::Imap(imap)) = Mailbox::parse("imap://anna@[::1]:1143/") else { panic!("a mailbox") };
        assert_eq!((imap.host.as_str(), imap.port, imap.security), ("::1", 1143, Security::StartTls));
        assert_eq!(Mailbox::Imap(imap).address(), "imap://anna@[::1]:1143");
        for (bad, why) in [
            ("imaps://imap.example.org", AddressError::Incomplete),
            ("imaps://@imap.example.org", AddressError::Incomplete),
            ("imaps://anna@", AddressError::Incomplete),
            ("imaps://anna@a b", AddressError::Incomplete),
            ("imaps://anna%0d@example.org", AddressError::Incomplete),
            ("imaps://anna@example.org:0", AddressError::Incomplete),
            ("imaps://anna@example.org:66666", AddressError::Incomplete),
            ("pop3s://anna@example.org", AddressError::Pop3),
            ("https://anna@example.org", AddressError::UnknownScheme),
            ("anna@example.org", AddressError::UnknownScheme),
        ] {
            assert_eq!(Mailbox::parse(bad), Err(why), "{bad}");
        }
        let written = serde_json::to_string(&mailbox).expect("JSON");
        assert_eq!(serde_json::from_str::<Mailbox>(&written).expect("read again"), mailbox);
    }

    #[test]
    fn a_maildir_is_written_as_a_uri() {
        let mailbox = Mailbox::local("maildir:/home/anna/Maildir/").expect("a Maildir").expect("a path");
        assert_eq!((mailbox.address().as_str(), mailbox.name().as_str()), ("maildir:/home/anna/Maildir", "/home/anna/Maildir"));
        assert_eq!(Mailbox::local(&mailbox.address()), Some(Ok(mailbox.clone())));
        assert_eq!(Mailbox::local("maildir:Maildir"), Some(Err(PlaceError::NotAbsolute)));
        assert_eq!(Mailbox::local("file:/home/anna"), None);
        let written = serde_json::to_string(&mailbox).expect("JSON");
        assert_eq!(written, r#"{"kind":"maildir","directory":"file:/home/anna/Maildir"}"#);
        assert_eq!(serde_json::from_str::<Mailbox>(&written).expect("read again"), mailbox);
    }
}
