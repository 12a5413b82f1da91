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
}

impl Mailbox {
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
        }
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        match self {
            Self::Maildir { directory } => directory.shown(),
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
            Self::Apart { problem: Problem::PlaceMissing { .. }, .. } => "missing",
            Self::Apart { .. } => "unreadable",
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Connecting | Self::Connected => Level::Ok,
            Self::Apart { .. } => Level::Warning,
        }
    }

    /// What is to be done about it.
    pub fn next_step(&self) -> Option<NextStep> {
        let problem = self.problem()?;
        Some(NextStep { who: problem.who(), what: "repair", by: None, action: None })
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
