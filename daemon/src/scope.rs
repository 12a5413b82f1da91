//! What differs between the two scopes: bus, directories, whose items these are, who is heard. All else is the same.

use std::path::{Path, PathBuf};

use anyhow::Context;
use zbus::connection::Builder;

use crate::bus::admission::Admission;
use crate::bus::views::Household;

/// The certificates of a person, or those of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// A person's, on the session bus.
    #[default]
    User,
    /// The machine's and those of shared mailboxes, on the system bus.
    System,
}

impl Scope {
    /// The configuration file that is read where none is named.
    pub fn config(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::User => Ok(home("XDG_CONFIG_HOME", ".config")?.join("obnova/obnova.toml")),
            Self::System => Ok(PathBuf::from("/etc/obnova/obnova.toml")),
        }
    }

    /// The administrator's configuration, which comes before the scope's own.
    pub fn administrators_config(self) -> Option<&'static Path> {
        (self == Self::User).then(|| Path::new("/etc/obnova/user.toml"))
    }

    /// The state directory where none is named.
    pub fn state_dir(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::User => Ok(home("XDG_STATE_HOME", ".local/state")?.join("obnova")),
            // What systemd made for the unit (`StateDirectory=`).
            Self::System => Ok(std::env::var_os("STATE_DIRECTORY").map_or_else(|| "/var/lib/obnova".into(), PathBuf::from)),
        }
    }

    /// The bus.
    pub fn bus(self) -> zbus::Result<Builder<'static>> {
        match self {
            Self::User => Builder::session(),
            Self::System => Builder::system(),
        }
    }

    /// Whose items these are.
    pub fn household(self) -> Household {
        match self {
            Self::User => {
                let owner = std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
                Household { owner, scope: "user" }
            }
            Self::System => {
                // In the sandbox of its unit it sees nothing of /proc but its own.
                let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
                Household { owner: host.trim().to_owned(), scope: "system" }
            }
        }
    }

    /// Who is heard.
    pub fn admission(self) -> Admission {
        match self {
            Self::User => Admission::Owner(rustix::process::getuid().as_raw()),
            Self::System => Admission::Polkit,
        }
    }

    /// Whether readers and the modules that are registered on the machine are used: cards are a person's. The system scope uses
    /// those modules alone that its configuration names.
    pub fn has_cards(self) -> bool {
        self == Self::User
    }

    /// The home directory in which a person's modules are looked for.
    pub fn home(self) -> Option<PathBuf> {
        if self == Self::User { std::env::home_dir().filter(|path| path.is_absolute()) } else { None }
    }
}

/// A directory of the XDG Base Directory Specification.
fn home(variable: &str, fallback: &str) -> anyhow::Result<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Scope::User.home().map(|home| home.join(Path::new(fallback)));
    set.or_else(home).with_context(|| format!("neither {variable} nor HOME is set"))
}
