//! Files that a job puts in their place. Doing it is the daemon's.

use serde::{Deserialize, Serialize};

use crate::certificate::Fingerprint;
use crate::place::Place;

/// A file on its way to its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallFile {
    /// The staged file's name in the job's own directory.
    pub staged: String,
    /// Where it goes (a `file:` place).
    pub target: Place,
    /// Its permission bits.
    pub mode: u32,
    /// The digest of its content.
    pub sha256: Fingerprint,
    /// The file whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

/// A file whose place a new one takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Where the copy of it is kept (a `file:` place).
    pub copy: Place,
    /// The digest of its content.
    pub sha256: Fingerprint,
}
