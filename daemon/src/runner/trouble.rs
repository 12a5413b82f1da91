//! What went wrong while a step was done, as the person is told it.

use std::io;
use std::path::Path;

use obnova_core::Problem;

use crate::helper::HelperError;

/// A failure of the file system at this path.
pub(super) fn io(error: &io::Error, path: &Path) -> Problem {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::DiskFull { path },
        io::ErrorKind::ReadOnlyFilesystem => Problem::ReadOnly { path },
        io::ErrorKind::PermissionDenied => Problem::TargetDenied { path },
        io::ErrorKind::NotFound => Problem::TargetMissing { path },
        io::ErrorKind::AlreadyExists => Problem::TargetExists { path },
        _ => Problem::Internal { detail: format!("{path}: {error}") },
    }
}

/// A failure of obnova-helper that concerns this path.
pub(super) fn helper(error: &HelperError, path: &Path) -> Problem {
    let text = path.display().to_string();
    match error {
        HelperError::WrongSecret => Problem::WrongSecret { path: text },
        HelperError::SecretNeeded => Problem::SecretNeeded { path: text },
        HelperError::Broken { detail } => Problem::PlaceBroken { path: text, detail: detail.clone() },
        HelperError::AlreadyThere => Problem::TargetExists { path: text },
        HelperError::DiskFull => Problem::DiskFull { path: text },
        HelperError::ReadOnly => Problem::ReadOnly { path: text },
        HelperError::Denied => Problem::TargetDenied { path: text },
        HelperError::NoKey => Problem::NoKey { path: text },
        HelperError::NotRegular => Problem::PlaceNotRegular { path: text },
        HelperError::NotFound => Problem::PlaceMissing { path: text },
        other => Problem::HelperFailed { detail: other.to_string() },
    }
}
