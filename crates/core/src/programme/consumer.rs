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
}

impl Consumer {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hook { .. } => "hook",
        }
    }

    /// Whether it can be told at all: a program is named by its absolute path, as there is nowhere that it would be looked for.
    pub(super) fn is_sound(&self) -> bool {
        let Self::Hook { command } = self;
        let program = command.first().is_some_and(|program| program.starts_with('/'));
        let plain = command.iter().all(|word| !word.contains('\0'));
        program && plain
    }
}
