//! Looks whether everything that follows can succeed; changes nothing and asks nobody.

use std::path::{Path, PathBuf};

use obnova_core::card::{Card, Spot, Tries};
use obnova_core::certificate::{Certificate, KeyAlgorithm};
use obnova_core::job::{Bytes, Home, NewKey, Old, Outcome, Reservation};
use obnova_core::{Fingerprint, Place, Problem, Scheme};
use rustix::fs::Access;

use super::install::Layout;
use super::{Ground, KEY_FILE, elsewhere, own_name, replace};
use crate::authorities::name;
use crate::helper::HelperError;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) async fn perform(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    let olds = &ground.job.start.old;
    if !ground.job.start.plan.makes_keys() {
        return elsewhere::preflight(ground, sitting).await;
    }
    all_there(ground).await?;
    let place = &ground.old()?.place;
    if place.scheme().is_card() {
        if let Some(elsewhere) = olds.iter().find(|old| old.place != *place) {
            return Err(Problem::TwinsApart { role: elsewhere.role.clone() });
        }
        let keys = on_card(ground, sitting, place).await?;
        all_wanted(ground, &keys).await?;
        return Ok(Outcome::Preflight { keys, protected: true, subject: None });
    }
    let (mut keys, mut protected) = (Vec::new(), false);
    for old in olds {
        let (key, secret) = in_file(ground, old, keys.len()).await?;
        keys.push(key);
        protected |= secret;
    }
    all_wanted(ground, &keys).await?;
    Ok(Outcome::Preflight { keys, protected, subject: subject(ground).await? })
}

/// The name on the mailbox's visiting card, where the old certificate says something else.
async fn subject(ground: &Ground<'_>) -> Result<Option<Bytes>, Problem> {
    let (programme, old) = (ground.programme().await?, ground.old_certificate().await?);
    let changed = programme.visiting_card_of(&old).filter(|card| !card.is_said_by(old.subject()));
    let name = changed.map(|card| name::encode(&card.attributes())).transpose();
    Ok(name.map_err(|error| Problem::Internal { detail: error.to_string() })?.map(Bytes))
}

/// The authority can be reached, where it is asked beforehand, and takes such keys.
async fn all_wanted(ground: &Ground<'_>, keys: &[NewKey]) -> Result<(), Problem> {
    let authority = ground.authority().await?;
    for key in keys {
        authority.suits(key.algorithm).await?;
    }
    Ok(())
}

/// The certificates stand where they stood when the renewal began.
pub(super) async fn all_there(ground: &Ground<'_>) -> Result<(), Problem> {
    for old in &ground.job.start.old {
        let (place, fingerprint) = (old.place.clone(), old.certificate);
        let still_there = ground.tools.engine.read(move |state| {
            let sight = state.world.sight(&place);
            sight.is_some_and(|sight| sight.certificates.iter().any(|found| found.certificate.fingerprint == fingerprint))
        });
        if !still_there.await? {
            return Err(Problem::ChangedMeanwhile { path: old.place.shown() });
        }
    }
    Ok(())
}

/// The kind of the new key by the programme's rule.
async fn algorithm(ground: &Ground<'_>, der: &[u8]) -> Result<KeyAlgorithm, Problem> {
    let old = Certificate::from_der(der).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let rule = ground.programme().await?.key;
    rule.algorithm.successor(old.key).ok_or_else(|| Problem::UnsupportedKey { algorithm: old.key.to_string() })
}

/// The card is there, and its PIN is not blocked.
pub(super) async fn opened_card(ground: &Ground<'_>, sitting: &Sitting, place: &Place) -> Result<Card, Problem> {
    let card = ground.card(sitting, place).await?;
    if card.pin == Tries::Blocked { Err(Problem::PinBlocked { card: card.label }) } else { Ok(card) }
}

/// What is set aside on the card, which is looked at and not changed.
async fn on_card(ground: &Ground<'_>, sitting: &Sitting, place: &Place) -> Result<Vec<NewKey>, Problem> {
    let card = opened_card(ground, sitting, place).await?;
    let mut olds = Vec::new();
    for old in &ground.job.start.old {
        let der = ground.der_of(old).await?;
        let gone = || Problem::CardKeyGone { card: card.label.clone(), spot: old.role.clone() };
        let spot = card.spot_of(&der).ok_or_else(gone)?.spot.clone();
        olds.push((spot, algorithm(ground, &der).await?));
    }
    let reserved = card.reserve(&olds, || Spot(crate::random::hex(16)));
    let reserved = reserved.map_err(|why| trouble::no_room(&why, card.label.clone()))?;
    let date = ground.tools.clock.now().format("%Y-%m-%d");
    let mut keys = Vec::new();
    for ((room, (_, algorithm)), old) in reserved.into_iter().zip(olds).zip(&ground.job.start.old) {
        let label = format!("{} {} {date}", ground.job.start.name, old.role);
        let reservation = Reservation { spot: room.spot, old: room.old, archive: room.archive, label };
        keys.push(NewKey { algorithm, place: place.clone(), home: Home::Card(reservation) });
    }
    Ok(keys)
}

/// Where the new key file goes, and whether a secret protects it.
async fn in_file(ground: &Ground<'_>, old: &Old, member: usize) -> Result<(NewKey, bool), Problem> {
    let path = old.place.path();
    if !path.exists() {
        return Err(Problem::PlaceMissing { path: path.display().to_string() });
    }
    let der = ground.der_of(old).await?;
    let public_key = Certificate::from_der(&der).map_err(|error| Problem::Internal { detail: error.to_string() })?.public_key;
    // A PKCS#12 file has a password, be it empty.
    let protected = old.place.scheme() == Scheme::Pkcs12 || {
        let no_key = || Problem::NoKey { path: path.display().to_string() };
        let key = crate::stores::key_file(&old.place).ok_or_else(no_key)?;
        match ground.tools.helper.inspect_key(&key, None).await {
            Ok(inspected) if Fingerprint::of(&inspected.spki.0) == public_key => false,
            Ok(_) => return Err(Problem::KeyMismatch { path: key.display().to_string() }),
            Err(HelperError::SecretNeeded) => true,
            Err(error) => return Err(trouble::helper(&error, &key)),
        }
    };
    let algorithm = algorithm(ground, &der).await?;
    let layout = Layout::of(&old.place);
    let file = own_name(KEY_FILE, member);
    if replace::is_meant(ground) {
        replace::check(old, layout)?;
        return Ok((NewKey { algorithm, place: old.place.clone(), home: Home::File(file) }, protected));
    }
    let place = match &ground.job.start.to {
        Some(to) => to.clone(),
        None => free_place(&old.place, layout, ground.tools.clock.now())?,
    };
    check_target(&place, layout)?;
    Ok((NewKey { algorithm, place, home: Home::File(file) }, protected))
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
