//! Who must learn of a new certificate once it is in its place, as a programme says it. Telling them is the daemon's.

use serde::Deserialize;

/// A program or directory that must learn of the new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Consumer {
    /// A command that is run; it may be run again.
    Hook {
        /// The program, an absolute path, and its arguments. No shell reads them.
        command: Vec<String>,
    },
    /// The certificate databases of the person's programs: Thunderbird's, Firefox', and the one that others share
    /// (`~/.pki/nssdb`). Only what lies on a card or token is made known there.
    Nss {},
}

impl Consumer {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hook { .. } => "hook",
            Self::Nss {} => "nss",
        }
    }

    /// Whether the renewal is finished without it: what is in its way may last, and it is told later.
    pub fn may_lag(&self) -> bool {
        matches!(self, Self::Nss {})
    }

    /// Whether it can be told at all: a program is named by its absolute path, as there is nowhere that it would be looked for.
    pub(super) fn is_sound(&self) -> bool {
        let Self::Hook { command } = self else { return true };
        let program = command.first().is_some_and(|program| program.starts_with('/'));
        let plain = command.iter().all(|word| !word.contains('\0'));
        program && plain
    }
}
