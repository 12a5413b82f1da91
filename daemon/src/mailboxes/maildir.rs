//! A Maildir (maildir(5), <https://cr.yp.to/proto/maildir.html>): each mail is a file in `new` or `cur`, whose name up to a colon is its
//! own for ever. Nothing in it is changed. Owns which of its files are read, and when.
//!
//! Nothing runs while nothing comes: the kernel says which file is new. A whole look is taken at the start, and where reports were lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use obnova_core::mailbox::Standing;
use obnova_core::{Fingerprint, Problem};
use tokio::time::{Instant, sleep, sleep_until};

use super::doorbell::{Doorbell, Rings};
use super::{Taken, Tools, blocking};
use crate::courier::Reader;
use crate::journal::{MOST_MARKS, Mark};
use crate::mail::LONGEST;
use crate::stores;

/// How old a mail may be that is still read: what an authority wrote before has been answered or has ended.
const RECENT: TimeDelta = TimeDelta::days(60);

/// How many of the newest mails are read of a mailbox that is new to us.
const MOST_AT_FIRST: usize = 500;

/// How many of the newest are read of what came while nobody looked.
const MOST_AT_ONCE: usize = 5_000;

/// Folders into which filters put what looks like junk, as Maildir++ and others call them.
const JUNK: [&str; 7] = [".Junk", ".Spam", ".Junk E-mail", ".INBOX.Junk", ".INBOX.Spam", "Junk", "Spam"];

/// How long a name may stand there until the file is taken to be whole. Most programs write elsewhere and rename.
const CALM: Duration = Duration::from_millis(300);

/// When a mail is read again about which a server could not be asked.
const AGAIN: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(12)];

/// How long a Maildir stays unread of which no report can tell that it has become readable.
const PATIENCE: Duration = Duration::from_mins(15);

/// Reads a Maildir for ever.
pub(super) async fn keep(tools: &Tools, directory: PathBuf, address: String) {
    let mut keeper = Keeper { tools, directory, address, read: None, again: BTreeMap::new() };
    loop {
        let Err(problem) = keeper.attend().await else { continue };
        if tools.apart(&keeper.address, problem.clone()).await.is_err() {
            // The engine has stopped, and with it everything.
            return;
        }
        keeper.wait_for_change(&problem).await;
    }
}

/// Looks whether something is a Maildir, and may be read.
pub(super) async fn test(directory: PathBuf) -> Result<(), Problem> {
    blocking(move || folders(&directory).map(drop)).await?
}

/// Whether a directory is a Maildir that may be read. Blocks.
pub(super) fn is_one(directory: &Path) -> bool {
    folders(directory).is_ok()
}

struct Keeper<'tools> {
    tools: &'tools Tools,
    directory: PathBuf,
    address: String,
    /// The mails that need not be read, once it is known which they are.
    read: Option<BTreeSet<u64>>,
    /// Those to be read again, how often that was tried, and when it is due.
    again: BTreeMap<PathBuf, (usize, Instant)>,
}

/// A mail that was found.
#[derive(Clone, Debug)]
struct Found {
    path: PathBuf,
    key: u64,
    at: DateTime<Utc>,
}

impl Keeper<'_> {
    /// Looks at everything, then at what comes; ends where everything is to be looked at again.
    async fn attend(&mut self) -> Result<(), Problem> {
        let directory = self.directory.clone();
        let folders = blocking(move || folders(&directory)).await??;
        let mut bell = Doorbell::new().map_err(|error| self.broken(&error))?;
        for folder in &folders {
            bell.watch(folder).map_err(|error| self.broken(&error))?;
        }
        bell.watch_names(&self.directory).map_err(|error| self.broken(&error))?;
        self.look(&folders).await?;
        self.tools.stands(&self.address, Standing::Connected).await?;
        loop {
            let due = self.again.values().map(|(_, due)| *due).min();
            let rings = tokio::select! {
                rings = bell.rings() => rings.map_err(|error| self.broken(&error))?,
                () = until(due) => Rings { whole: self.due_again(), ..Rings::default() },
            };
            let new_folder =
                |path: &PathBuf| is_folder(path, &self.directory) && !folders.iter().any(|known| known.starts_with(path));
            if rings.all || rings.begun.iter().chain(&rings.whole).any(new_folder) {
                return Ok(());
            }
            if !rings.begun.is_empty() {
                sleep(CALM).await;
            }
            let named = rings.whole.into_iter().chain(rings.begun);
            let named: Vec<PathBuf> = named.filter(|path| path.parent() != Some(&self.directory)).collect();
            self.look_at(named).await?;
        }
    }

    /// Reads what is recent and was not read.
    async fn look(&mut self, folders: &[PathBuf]) -> Result<(), Problem> {
        let now = self.tools.engine.read(|state| state.now().to_utc()).await?;
        let marks = self.tools.marks(&self.address).await?;
        let first = marks.is_empty();
        let mut since = now - RECENT;
        if marks.len() >= MOST_MARKS {
            // Of what is older it is not known any more whether it was read.
            since = since.max(marks.last().map_or(since, |oldest| oldest.at));
        }
        let read: BTreeSet<u64> = marks.iter().filter_map(|mark| u64::from_str_radix(&mark.name, 16).ok()).collect();
        drop(marks);
        let folders = folders.to_vec();
        let (read, mut found) = blocking(move || {
            let found = unread(&folders, &read, since);
            (read, found)
        })
        .await?;
        self.read = Some(read);
        found.sort_by_key(|found| std::cmp::Reverse(found.at));
        let passed = found.split_off(found.len().min(if first { MOST_AT_FIRST } else { MOST_AT_ONCE }));
        if !passed.is_empty() {
            tracing::info!(count = passed.len(), "older mails are passed over");
            self.mark(&passed).await?;
        }
        // The oldest first, as they came.
        found.reverse();
        self.read_all(found).await
    }

    /// Reads these, if they are mails that were not read.
    async fn look_at(&mut self, paths: Vec<PathBuf>) -> Result<(), Problem> {
        let read = self.read.take().unwrap_or_default();
        let since = self.tools.engine.read(|state| state.now().to_utc()).await? - RECENT;
        let (read, found) = blocking(move || {
            let found: Vec<Found> = paths.into_iter().filter_map(|path| candidate(path, &read, since)).collect();
            (read, found)
        })
        .await?;
        self.read = Some(read);
        self.read_all(found).await
    }

    async fn read_all(&mut self, found: Vec<Found>) -> Result<(), Problem> {
        let mut reader = None;
        for mail in found {
            let path = mail.path.clone();
            match blocking(move || content(&path)).await? {
                Ok(Some(bytes)) => {
                    if self.read_one(&mut reader, &mail, &bytes).await? == Taken::Unresolved && self.puts_off(&mail) {
                        continue;
                    }
                }
                Ok(None) => tracing::debug!("a mail is passed over that is longer than those that are read"),
                // Renamed or deleted meanwhile: under its new name it is told of again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(%error, "a mail cannot be read");
                    continue;
                }
            }
            self.again.remove(&mail.path);
            self.mark(&[mail]).await?;
        }
        Ok(())
    }

    /// Finds out what a mail is. One on which the courier fails twice is at fault itself.
    async fn read_one(&self, reader: &mut Option<Reader>, mail: &Found, bytes: &[u8]) -> Result<Taken, Problem> {
        let now = self.tools.engine.read(|state| state.now().to_utc()).await?;
        for _ in 0..2 {
            let courier = match reader {
                Some(courier) => courier,
                None => reader.insert(self.tools.courier.reader().await?),
            };
            match courier.read(bytes, mail.at.min(now)).await {
                Ok(Ok(facts)) => return self.tools.take(*facts).await,
                Ok(Err(unread)) => {
                    tracing::debug!(%unread, "a file is passed over");
                    return Ok(Taken::Judged);
                }
                Err(problem) => {
                    tracing::warn!(%problem, "a mail was not read");
                    *reader = None;
                }
            }
        }
        Ok(Taken::Judged)
    }

    /// Notes that a mail is to be read again; whether it was not yet often enough.
    fn puts_off(&mut self, mail: &Found) -> bool {
        let tries = self.again.get(&mail.path).map_or(0, |(tries, _)| *tries);
        let Some(pause) = AGAIN.get(tries) else { return false };
        self.again.insert(mail.path.clone(), (tries + 1, Instant::now() + *pause));
        true
    }

    fn due_again(&self) -> BTreeSet<PathBuf> {
        let now = Instant::now();
        self.again.iter().filter(|(_, (_, due))| *due <= now).map(|(path, _)| path.clone()).collect()
    }

    async fn mark(&mut self, mails: &[Found]) -> Result<(), Problem> {
        let marks = mails.iter().map(|mail| Mark { name: format!("{:016x}", mail.key), at: mail.at, value: String::new() });
        self.tools.mark(&self.address, marks.collect()).await?;
        self.read.get_or_insert_default().extend(mails.iter().map(|mail| mail.key));
        Ok(())
    }

    /// Waits until a Maildir that could not be read may be readable.
    async fn wait_for_change(&self, problem: &Problem) {
        let told = matches!(problem, Problem::PlaceMissing { .. } | Problem::PlaceDenied { .. } | Problem::NoMaildir { .. });
        let Some(mut bell) = Doorbell::new().ok().filter(|_| told) else { return sleep(PATIENCE).await };
        // Where it would be, and what leads there as far as there is something.
        let mut seen = false;
        for directory in self.directory.ancestors() {
            seen |= bell.watch_names(directory).is_ok();
        }
        // What changed before it was watched.
        if seen && test(self.directory.clone()).await.is_err() {
            while let Ok(rings) = bell.rings().await {
                let ours = |path: &PathBuf| self.directory.starts_with(path) || path.parent() == Some(&self.directory);
                if rings.all || rings.begun.iter().chain(&rings.whole).any(ours) {
                    return;
                }
            }
        }
        if !seen {
            sleep(PATIENCE).await;
        }
    }

    fn broken(&self, error: &io::Error) -> Problem {
        stores::unreadable(&self.directory, error)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The directories of a Maildir in which mails lie: its own, and those of folders for junk.
fn folders(directory: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut folders = Vec::new();
    for name in ["new", "cur"] {
        let folder = directory.join(name);
        match std::fs::read_dir(&folder) {
            Ok(_) => folders.push(folder),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(stores::unreadable(&folder, &error)),
            Err(_) => {
                return Err(match std::fs::read_dir(directory) {
                    Ok(_) => Problem::NoMaildir { path: directory.display().to_string() },
                    Err(error) => stores::unreadable(directory, &error),
                });
            }
        }
    }
    let junk = JUNK.iter().flat_map(|name| ["new", "cur"].map(|part| directory.join(name).join(part)));
    folders.extend(junk.filter(|folder| folder.is_dir()));
    Ok(folders)
}

/// Whether a path names what [`folders`] would list.
fn is_folder(path: &Path, directory: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    path.parent() == Some(directory) && (matches!(name, "new" | "cur") || JUNK.contains(&name))
}

fn unread(folders: &[PathBuf], read: &BTreeSet<u64>, since: DateTime<Utc>) -> Vec<Found> {
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    entries.filter_map(|entry| candidate(entry.path(), read, since)).collect()
}

/// A mail that is recent and was not read.
fn candidate(path: PathBuf, read: &BTreeSet<u64>, since: DateTime<Utc>) -> Option<Found> {
    let key = key(path.file_name()?)?;
    if read.contains(&key) {
        return None;
    }
    let about = std::fs::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
    let at = DateTime::<Utc>::from(about.modified().ok()?);
    (at >= since).then_some(Found { path, key, at })
}

/// What of a name stays the same in `new` and `cur` and under all flags; `None`: it is no mail's.
fn key(name: &OsStr) -> Option<u64> {
    let name = name.as_bytes();
    let own = name.split(|byte| *byte == b':').next().unwrap_or(name);
    if own.is_empty() || own.starts_with(b".") {
        return None;
    }
    let mut first = [0; 8];
    first.copy_from_slice(&Fingerprint::of(own).0[..8]);
    Some(u64::from_be_bytes(first))
}

/// The bytes of a mail; `None`: there are more than are read.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    if about.len() > LONGEST as u64 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= LONGEST).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_keeps_its_key_under_all_flags() {
        let of = |name: &str| key(OsStr::new(name));
        assert_eq!(of("1700000000.M1P2.host"), of("1700000000.M1P2.host:2,"));
        assert_eq!(of("1700000000.M1P2.host"), of("1700000000.M1P2.host:2,RS"));
        assert_ne!(of("1700000000.M1P2.host"), of("1700000000.M1P3.host"));
        assert_eq!((of(".hidden"), of(":2,S")), (None, None));
    }

    #[test]
    fn a_maildir_has_new_and_cur_and_perhaps_junk() {
        let scratch = tempfile::tempdir().expect("a directory");
        let root = scratch.path().join("Maildir");
        assert_eq!(folders(&root).expect_err("nothing is there").kind(), "place-missing");
        std::fs::create_dir_all(root.join("new")).expect("made");
        assert_eq!(folders(&root).expect_err("no Maildir").kind(), "no-maildir");
        for folder in ["cur", ".Junk/new", ".Junk/cur", ".Archive/cur"] {
            std::fs::create_dir_all(root.join(folder)).expect("made");
        }
        let found = folders(&root).expect("a Maildir");
        assert_eq!(found, ["new", "cur", ".Junk/new", ".Junk/cur"].map(|folder| root.join(folder)));
        assert!(is_folder(&root.join(".Spam"), &root) && !is_folder(&root.join("dovecot.index"), &root));
    }
}
