//! Certificates that nobody looks after: looked for where people have them, and proposed. Nothing is watched by that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use obnova_api::{ItemView, Level, NextStepView};
use obnova_core::world::Condition;
use obnova_core::{ItemId, Mailbox, Now, Place, Problem, Scheme, World};

use super::{Desk, views};
use crate::mailboxes;
use crate::stores::Sighting;

/// Directories of a home in which certificates are kept, besides those that the desktop names.
const USUAL: [&str; 6] = ["Documents", "Desktop", "Downloads", "certificates", "certs", ".certs"];

/// What files in a home itself may be called that hold certificates.
const ENDINGS: [&str; 5] = ["p12", "pfx", "pem", "crt", "cer"];

/// The most proposals: whoever has more names a directory.
const MOST: usize = 200;

impl Desk {
    /// What is found where people have certificates and is not watched.
    pub(super) async fn discover(&self) -> Result<Vec<ItemView>, Problem> {
        let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) else { return Ok(Vec::new()) };
        let roots = tokio::task::spawn_blocking(move || usual(&home)).await;
        let roots = roots.map_err(|error| Problem::Internal { detail: error.to_string() })?;
        let sightings = self.surveyor.look_once(roots).await;
        let sightings = sightings.map_err(|error| Problem::Internal { detail: error.to_string() })?;
        let household = self.household.clone();
        let mailbox = tokio::task::spawn_blocking(mailboxes::usual).await;
        let mailbox = mailbox.map_err(|error| Problem::Internal { detail: error.to_string() })?;
        self.engine
            .read(move |state| {
                let now = state.now();
                let mailbox = mailbox.filter(|mailbox| state.world.mailbox(&mailbox.address()).is_none());
                let mailbox = mailbox.map(|mailbox| proposed_mailbox(&state.world, &mailbox, &household));
                let proposed = sightings.iter().filter_map(|sighting| propose(&state.world, sighting, now, &household));
                proposed.take(MOST).chain(mailbox).collect()
            })
            .await
    }
}

/// The places of a home that are looked into.
fn usual(home: &Path) -> Vec<Place> {
    let named = std::fs::read_to_string(home.join(".config/user-dirs.dirs")).unwrap_or_default();
    let mut directories: BTreeSet<PathBuf> = USUAL.iter().map(|name| home.join(name)).collect();
    directories.extend(named.lines().filter_map(|line| named_directory(line, home)));
    // Some name the home itself, which is not gone through.
    let mut places: Vec<Place> = directories
        .into_iter()
        .filter(|directory| directory != home && directory.is_dir())
        .map(|directory| Place::new(Scheme::File, &directory))
        .collect();
    let files = std::fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    let ending = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    for path in files.filter(|path| path.is_file()) {
        match ending(&path).as_deref() {
            Some("p12" | "pfx") => places.push(Place::new(Scheme::Pkcs12, &path)),
            Some(other) if ENDINGS.contains(&other) => places.push(Place::new(Scheme::File, &path)),
            _ => {}
        }
    }
    places
}

/// The directory that a line of `user-dirs.dirs` (xdg-user-dirs) names, if it is one for documents, downloads or the desktop.
fn named_directory(line: &str, home: &Path) -> Option<PathBuf> {
    let (key, value) = line.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    matches!(key, "XDG_DOCUMENTS_DIR" | "XDG_DOWNLOAD_DIR" | "XDG_DESKTOP_DIR").then_some(())?;
    match value.strip_prefix("$HOME/") {
        Some(below) => Some(home.join(below)),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

/// A mailbox that is proposed.
fn proposed_mailbox(world: &World, mailbox: &Mailbox, household: &views::Household) -> ItemView {
    ItemView {
        id: ItemId::derive(world.salt(), &[b"found", mailbox.address().as_bytes()]).to_string(),
        kind: "found".into(),
        name: mailbox.name(),
        owner: household.owner.clone(),
        scope: household.scope.into(),
        state: "unread".into(),
        level: Level::Notice.as_str().into(),
        place: Some(mailbox.address()),
        next_step: Some(NextStepView { who: "you".into(), what: "watch".into(), by: None, action: None }),
        ..ItemView::default()
    }
}

/// What is proposed of a sighting: a certificate with its key, or a file that is opened by its password. `None`: it is watched, or
/// no one's to renew.
fn propose(world: &World, sighting: &Sighting, now: Now, household: &views::Household) -> Option<ItemView> {
    let (place, sight) = (&sighting.place, sighting.sight.as_ref()?);
    let watched = world.watches().any(|root| place.is_within(root));
    let held = sight.certificates.iter().find(|found| found.key).map(|found| &found.certificate);
    let locked = matches!(sight.condition, Condition::Locked);
    if watched || (held.is_none() && !locked) {
        return None;
    }
    // What is known from elsewhere needs no second look.
    if held.is_some_and(|certificate| world.certificate(&certificate.fingerprint).is_some()) {
        return None;
    }
    let state = match held {
        None => "locked",
        Some(certificate) if certificate.not_after < now => "expired",
        Some(certificate) if certificate.not_before > now => "not-yet-valid",
        Some(_) => "valid",
    };
    Some(ItemView {
        id: ItemId::derive(world.salt(), &[b"found", place.as_str().as_bytes()]).to_string(),
        kind: "found".into(),
        name: held.map_or_else(|| place.name(), |certificate| certificate.name().to_owned()),
        owner: household.owner.clone(),
        scope: household.scope.into(),
        state: state.into(),
        level: Level::Notice.as_str().into(),
        programme: held.and_then(|certificate| Some(world.programme_of(certificate)?.name.clone())),
        not_after: held.map(|certificate| views::time(certificate.not_after)),
        certificates: held.map(|certificate| vec![views::certificate("general", certificate, place)]),
        place: Some(place.to_string()),
        next_step: Some(NextStepView { who: "you".into(), what: "watch".into(), by: None, action: None }),
        ..ItemView::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desktops_directories_are_read_from_its_file() {
        let home = Path::new("/home/anna");
        for (line, directory) in [
            ("XDG_DOCUMENTS_DIR=\"$HOME/Dokumente\"", Some("/home/anna/Dokumente")),
            ("XDG_DOWNLOAD_DIR=\"/srv/downloads\"", Some("/srv/downloads")),
            ("XDG_MUSIC_DIR=\"$HOME/Musik\"", None),
            ("# XDG_DESKTOP_DIR", None),
            ("XDG_DESKTOP_DIR=$HOME/x", None),
            ("XDG_DESKTOP_DIR=\"x\"", None),
        ] {
            assert_eq!(named_directory(line, home), directory.map(PathBuf::from), "{line}");
        }
    }
}
