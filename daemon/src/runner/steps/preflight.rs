//! Looks whether everything that follows can succeed; changes nothing and asks nobody.

use std::path::{Path, PathBuf};

use obnova_core::job::{Home, NewKey, Outcome};
use obnova_core::{Fingerprint, Place, Problem, Scheme};
use rustix::fs::Access;

use super::{Ground, KEY_FILE};
use super::install::Layout;
use crate::helper::HelperError;
use crate::runner::trouble;

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let old = ground.old()?;
    let path = old.place.path();
    let (place, fingerprint) = (old.place.clone(), old.certificate);
    let still_there = ground.tools.engine.read(move |state| {
        let sight = state.world.sight(&place);
        sight.is_some_and(|sight| sight.certificates.iter().any(|found| found.certificate.fingerprint == fingerprint))
    });
    if !still_there.await? {
        return Err(Problem::ChangedMeanwhile { path: path.display().to_string() });
    }
    if !path.exists() {
        return Err(Problem::PlaceMissing { path: path.display().to_string() });
    }
    let certificate = ground.old_certificate().await?;
    let protected = match old.place.scheme() {
        Scheme::Pkcs12 => true,
        _ => {
            let no_key = || Problem::NoKey { path: path.display().to_string() };
            let key = crate::stores::key_file(&old.place).ok_or_else(no_key)?;
            match ground.tools.helper.inspect_key(&key, None).await {
                Ok(inspected) if Fingerprint::of(&inspected.spki.0) == certificate.public_key => false,
                Ok(_) => return Err(Problem::KeyMismatch { path: key.display().to_string() }),
                Err(HelperError::SecretNeeded) => true,
                Err(error) => return Err(trouble::helper(&error, &key)),
            }
        }
    };
    let rule = ground.programme().await?.key;
    let unsupported = || Problem::UnsupportedKey { algorithm: certificate.key.to_string() };
    let algorithm = rule.algorithm.successor(certificate.key).ok_or_else(unsupported)?;
    let layout = Layout::of(&old.place);
    let place = match &ground.job.start.to {
        Some(to) => to.clone(),
        None => free_place(&old.place, layout, ground.tools.clock.now())?,
    };
    check_target(&place, layout)?;
    let key = NewKey { algorithm, place, home: Home::File(KEY_FILE.into()) };
    Ok(Outcome::Preflight { keys: vec![key], protected })
}

/// The first free name beside the old file: its own with today's date.
fn free_place(old: &Place, layout: Layout, now: obnova_core::Now) -> Result<Place, Problem> {
    let path = old.path();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    let date = now.format("%Y-%m-%d").to_string();
    let stem = without_date(&stem);
    let names = std::iter::once(format!("{stem}-{date}")).chain((2..100).map(|count| format!("{stem}-{date}-{count}")));
    for name in names {
        let name = extension.as_ref().map_or_else(|| name.clone(), |extension| format!("{name}.{extension}"));
        let place = Place::new(old.scheme(), &path.with_file_name(name));
        if layout.files(&place)?.iter().all(|(file, _)| !occupied(file)) {
            return Ok(place);
        }
    }
    Err(Problem::TargetExists { path: path.display().to_string() })
}

/// A name from which the date of an earlier renewal is taken.
fn without_date(stem: &str) -> &str {
    let is_date = |text: &str| {
        text.len() == 11 && text.starts_with('-') && chrono::NaiveDate::parse_from_str(&text[1..], "%Y-%m-%d").is_ok()
    };
    match stem.len().checked_sub(11).filter(|at| stem.is_char_boundary(*at)) {
        Some(at) if at > 0 && is_date(&stem[at..]) => &stem[..at],
        _ => stem,
    }
}

fn check_target(place: &Place, layout: Layout) -> Result<(), Problem> {
    let path = place.path();
    let directory: PathBuf = path.parent().unwrap_or(Path::new("/")).to_owned();
    if !directory.is_dir() {
        return Err(Problem::TargetMissing { path: directory.display().to_string() });
    }
    rustix::fs::access(&directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| trouble::io(&error.into(), &directory))?;
    match layout.files(place)?.iter().find(|(file, _)| occupied(file)) {
        Some((file, _)) => Err(Problem::TargetExists { path: file.display().to_string() }),
        None => Ok(()),
    }
}

/// Whether anything bears this name, be it a dangling link.
fn occupied(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_replaced_not_added() {
        assert_eq!(without_date("anna-2026-11-22"), "anna");
        assert_eq!(without_date("anna-2026-13-22"), "anna-2026-13-22");
        assert_eq!(without_date("-2026-11-22"), "-2026-11-22", "a name must remain");
        assert_eq!(without_date("äöüäöüäöü"), "äöüäöüäöü");
    }
}
