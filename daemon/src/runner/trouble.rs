//! What went wrong while a step was done, as the person is told it.

use std::io;
use std::path::Path;

use obnova_core::Problem;
use obnova_core::card::{CardKind, NoRoom};

use crate::cards::step::CardError;
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

/// A failure of the card that a person calls so.
pub(crate) fn card(error: &CardError, card: String) -> Problem {
    let left = |left: Option<u8>| left.map_or_else(|| "unknown".to_owned(), |left| left.to_string());
    match error.clone() {
        CardError::Absent {} => Problem::CardAbsent { card },
        CardError::Removed {} => Problem::CardRemoved { card },
        CardError::Busy { program } => Problem::CardBusy { card, program: program.unwrap_or_else(|| "unknown".into()) },
        CardError::NotInFront {} => Problem::NotInFront { card },
        CardError::NoService { detail } => Problem::NoCardService { detail },
        CardError::PinNeeded {} => Problem::Refused {},
        CardError::WrongPin { left: tries } => Problem::WrongPin { card, left: left(tries) },
        // Somebody else has used up tries since the counter was shown.
        CardError::LastTry {} => Problem::WrongPin { card, left: "1".into() },
        CardError::Blocked {} => Problem::PinBlocked { card },
        CardError::PinFormat { min, max } => {
            Problem::SecretRules { min: min.to_string(), max: max.to_string(), digits: "false".into() }
        }
        CardError::OpenedElsewhere {} => Problem::CardOpened { card },
        CardError::ManagementKeyNeeded {} | CardError::ManagementKeyWrong {} => Problem::WrongManagementKey { card },
        CardError::Occupied { spot } => Problem::CardOccupied { card, spot: spot.to_string() },
        CardError::KeyMissing { spot } => Problem::CardKeyGone { card, spot: spot.to_string() },
        CardError::Unsupported { what } => Problem::CardUnable { card, what },
        CardError::Full {} => Problem::CardFull { card, needed: "1".into(), free: "0".into() },
        CardError::NotTouched {} => Problem::NotTouched { card },
        CardError::Failed { detail } => Problem::CardFailed { card, detail },
        CardError::Module { module, detail } => Problem::ModuleFailed { card, module, detail },
    }
}

/// Why a card has no room for new keys beside the old.
pub(crate) fn no_room(why: &NoRoom, card: String) -> Problem {
    match why {
        NoRoom::Kind(kind) => {
            let can = if *kind == CardKind::Retires { "retires" } else { "fixed" };
            Problem::CardKeepsNothing { card, can: can.into() }
        }
        NoRoom::Full { needed, free } => Problem::CardFull { card, needed: needed.to_string(), free: free.to_string() },
        NoRoom::Algorithm(algorithm) => Problem::CardAlgorithm { card, algorithm: algorithm.to_string() },
        NoRoom::KeyGone(spot) => Problem::CardKeyGone { card, spot: spot.to_string() },
    }
}
