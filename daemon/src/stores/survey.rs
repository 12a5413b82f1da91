//! Going through the watched roots: what is there, what of it differs from what was known, what is gone. Owns the roots and
//! the stamps. Blocks; when to go is the actor's, and PKCS#12 files are left to it, for they take the helper.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use obnova_core::world::{Condition, Sight};
use obnova_core::{Place, Problem, Scheme};
use rustix::fs::{Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::content::ContentError;
use super::eyes::{Dirt, Dirty, Eyes};
use super::files::{self, LARGEST, Unread};
use super::reading::{Candidate, Seen, beside, present};
use super::{Sighting, Stamp, keys};

mod names;

use names::Names;

/// How many directories below a watched one are looked into, one in another.
const DEEPEST: usize = 4;

/// How many names below a watched directory are looked at.
const MOST_NAMES: usize = 50_000;

/// The roots, the stamps of what is in them, and the watches on them.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) eyes: Eyes,
    roots: BTreeSet<Place>,
    known: BTreeMap<Place, Known>,
    /// Files in directories that hold nothing of ours, as hashes of their paths and stamps.
    blank: HashSet<u64>,
    round: u32,
    buffer: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    /// The last survey that found it there.
    round: u32,
}

/// What a survey has brought.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    /// What differs from what was known.
    pub(super) sightings: Vec<Sighting>,
    /// PKCS#12 files that are new or changed, and have no certificate beside them.
    pub(super) closed: Vec<(Place, Stamp)>,
    names: usize,
}

impl Harvest {
    fn is_full(&self) -> bool {
        self.names > MOST_NAMES
    }
}

impl Survey {
    pub(super) fn new(known: Vec<(Place, Stamp)>) -> io::Result<Self> {
        let known = known.into_iter().map(|(place, stamp)| (place, Known { stamp, round: 0 })).collect();
        Ok(Self {
            eyes: Eyes::open()?,
            roots: BTreeSet::new(),
            known,
            blank: HashSet::new(),
            round: 0,
            buffer: Zeroizing::default(),
        })
    }

    pub(super) fn roots(&self) -> impl Iterator<Item = &Place> {
        self.roots.iter()
    }

    pub(super) fn read_reports(&mut self, dirt: &mut Dirt) -> io::Result<()> {
        self.eyes.read(&self.roots, dirt)
    }

    /// Takes up a root. What it shares with a root above follows its rules from now on.
    pub(super) fn add_root(&mut self, root: Place) {
        if let Some(above) = self.owner(&root).cloned()
            && above != root
        {
            self.eyes.forget_below(&above, &root.path());
        }
        self.roots.insert(root);
    }

    /// Forgets a root. What it shares with other roots has to be looked at anew, by their rules: these are put into `dirt`.
    pub(super) fn remove_root(&mut self, root: &Place, dirt: &mut Dirt) {
        if !self.roots.remove(root) {
            return;
        }
        self.eyes.forget(root);
        dirt.remove(root);
        let below: Vec<Place> = self.below(&root.path()).map(|(place, _)| place.clone()).collect();
        for place in below {
            match self.owner(&place).cloned() {
                Some(owner) => super::eyes::whole(dirt, &owner),
                None => {
                    self.known.remove(&place);
                }
            }
        }
    }

    /// Looks at what may have changed.
    pub(super) fn look(&mut self, dirt: Dirt) -> Harvest {
        let mut harvest = Harvest::default();
        for (root, dirty) in dirt {
            if !self.roots.contains(&root) {
                continue;
            }
            harvest.names = 0;
            match dirty {
                Dirty::Whole => self.look_at_root(&root, &mut harvest),
                Dirty::Names(directories) => {
                    for (directory, names) in directories {
                        self.look_at_names(&root, &directory, &names, &mut harvest);
                    }
                }
            }
        }
        // Wiped and freed: there may have been a key in it.
        self.buffer = Zeroizing::default();
        harvest
    }

    /// Takes a place for one that was never looked at.
    pub(super) fn forget(&mut self, place: &Place) {
        self.known.remove(place);
    }

    /// Takes note that a place was opened by a person and needs no further look.
    pub(super) fn opened(&mut self, place: &Place, stamp: Stamp) {
        if self.owner(place).is_some() {
            self.known.insert(place.clone(), Known { stamp, round: self.round });
        }
    }

    /// Takes note of what a look at a place has shown. `None` if that is nothing new.
    pub(super) fn report(&mut self, place: &Place, stamp: Stamp, sight: Sight, der: Vec<Vec<u8>>) -> Option<Sighting> {
        let stamp = salted(stamp, &sight.condition);
        let known = self.known.insert(place.clone(), Known { stamp, round: self.round });
        let same = known.is_some_and(|known| known.stamp == stamp);
        (!same).then(|| Sighting { place: place.clone(), stamp, sight: Some(sight), der })
    }

    /// Takes note that nothing is at a place any more. `None` if nothing was.
    pub(super) fn vanish(&mut self, place: &Place) -> Option<Sighting> {
        self.known.remove(place)?;
        Some(Sighting::gone(place.clone()))
    }

    /// Whether a root itself is at this place: then its absence is a failure, not a departure.
    pub(super) fn is_root(&self, place: &Place) -> bool {
        self.roots.contains(place)
    }

    fn look_at_root(&mut self, root: &Place, harvest: &mut Harvest) {
        let path = root.path();
        self.round = self.round.wrapping_add(1);
        self.eyes.begin(root);
        self.eyes.approach(root, &path, self.round);
        match self.open_root(root, &path, harvest) {
            Ok(()) => self.sweep(root, &path, harvest),
            Err((unread, directory)) => {
                // What cannot be read is not gone.
                if matches!(unread, Unread::Missing | Unread::NotRegular) {
                    self.sweep_below(root, &path, harvest);
                } else {
                    self.keep_below(&path);
                }
                self.fail(root, unread.problem(&path, directory), harvest);
            }
        }
        self.eyes.finish(root, self.round);
    }

    /// Looks at a root; the error says, too, whether a directory could not be listed.
    fn open_root(&mut self, root: &Place, path: &Path, harvest: &mut Harvest) -> Result<(), (Unread, bool)> {
        let one = |unread| (unread, false);
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (path, OsStr::new(".")),
        };
        let directory = files::stand_in(parent).map_err(|errno| one(errno.into()))?;
        let stat = files::look(&directory, name).map_err(|errno| one(errno.into()))?;
        match (files::kind(&stat), root.scheme()) {
            (FileType::Directory, Scheme::File) => {
                self.look_into(root, path, 0, None, harvest).map_err(|errno| (errno.into(), true))?;
                let condition = if harvest.is_full() {
                    Condition::Failed(too_many(path, MOST_NAMES.to_string()))
                } else if self.eyes.is_blind(root) {
                    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
                    Condition::Failed(too_many(path, limit.trim().to_owned()))
                } else {
                    Condition::Readable
                };
                // A directory's own times change with every file; what is said of it does not.
                let sight = Sight { condition, certificates: Vec::new() };
                harvest.sightings.extend(self.report(root, files::stamp([].iter()), sight, Vec::new()));
                Ok(())
            }
            (FileType::RegularFile, scheme) => {
                let others = beside(scheme, name);
                for other in others.iter().filter(|other| other.as_bytes().contains(&b'/')) {
                    let other = parent.join(other);
                    if let (Some(elsewhere), Some(name)) = (other.parent(), other.file_name()) {
                        self.eyes.attend(root, elsewhere, name, self.round);
                    }
                }
                let beside = present(&directory, others.into_iter());
                let candidate =
                    Candidate { directory: &directory, path, name, scheme, stat, beside, found: false, suspect: false };
                self.look_at(&candidate, harvest);
                Ok(())
            }
            _ => Err(one(Unread::NotRegular)),
        }
    }

    /// Looks at some names in a directory below a root.
    fn look_at_names(&mut self, root: &Place, directory: &Path, names: &BTreeSet<OsString>, harvest: &mut Harvest) {
        self.round = self.round.wrapping_add(1);
        let depth = directory.strip_prefix(root.path()).map_or(0, |below| below.components().count());
        // A directory that is gone, or cannot be listed any more, has been reported where it stands.
        if let Err(errno) = self.look_into(root, directory, depth, Some(names), harvest) {
            tracing::debug!(directory = %directory.display(), %errno, "not looked into");
            return;
        }
        if harvest.is_full() {
            return self.look_at_root(root, harvest);
        }
        for name in names {
            let path = directory.join(name);
            if !path.is_dir() || path.is_symlink() {
                self.eyes.forget_below(root, &path);
            }
            self.sweep(root, &path, harvest);
        }
    }

    /// Looks at what a directory holds, or at some names in it and what depends on them.
    ///
    /// Links to directories are not followed, nor are links to files of the same directory: they stand there themselves.
    fn look_into(
        &mut self,
        root: &Place,
        directory: &Path,
        depth: usize,
        only: Option<&BTreeSet<OsString>>,
        harvest: &mut Harvest,
    ) -> Result<(), Errno> {
        self.eyes.list(root, directory, self.round);
        // The root may be a link, what is below it may not have become one.
        let links = if depth == 0 { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | links;
        let handle = openat(rustix::fs::CWD, directory, flags, Mode::empty())?;
        let names = list(&handle, harvest)?;
        let keys_elsewhere = files::look(&handle, OsStr::new("../private")).is_ok();
        let is_listed = |other: &OsStr| names.contains(other);
        let mut path = directory.to_path_buf();
        for (name, kind) in names.iter() {
            let suspect = only.is_some_and(|only| only.contains(name));
            if only.is_some_and(|only| !suspect && !is_concerned(&handle, name, kind, only)) {
                continue;
            }
            path.push(name);
            match kind {
                FileType::Directory => self.look_below(root, &path, depth + 1, harvest),
                FileType::Symlink if !self.leads_out(root, &handle, &path, name, is_listed) => {}
                FileType::RegularFile | FileType::Symlink => {
                    let is_there =
                        |other: &OsString| if other.as_bytes().contains(&b'/') { keys_elsewhere } else { is_listed(other) };
                    self.look_at_found(&handle, &path, name, is_there, suspect, harvest);
                }
                _ => {}
            }
            path.pop();
        }
        Ok(())
    }

    fn look_below(&mut self, root: &Place, path: &Path, depth: usize, harvest: &mut Harvest) {
        let place = Place::new(Scheme::File, path);
        if depth > DEEPEST || self.roots.contains(&place) {
            return;
        }
        match self.look_into(root, path, depth, None, harvest) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => {
                self.keep_below(path);
                self.fail(&place, Unread::from(errno).problem(path, true), harvest);
            }
        }
    }

    /// Whether a link leads out of its directory; then its target is watched, too.
    fn leads_out(
        &mut self,
        root: &Place,
        handle: &OwnedFd,
        path: &Path,
        name: &OsStr,
        is_listed: impl Fn(&OsStr) -> bool,
    ) -> bool {
        match rustix::fs::readlinkat(handle, name, Vec::new()) {
            Ok(target) if !target.to_bytes().contains(&b'/') && is_listed(OsStr::from_bytes(target.to_bytes())) => false,
            Ok(_) => {
                match (path.canonicalize(), path.parent()) {
                    (Ok(target), Some(directory)) => self.eyes.follow(root, directory, name, &target, self.round),
                    (Err(error), _) if error.kind() == io::ErrorKind::PermissionDenied => {
                        let (barrier, _) = files::barrier(path);
                        if let (Some(above), Some(name)) = (barrier.parent(), barrier.file_name()) {
                            self.eyes.attend(root, above, name, self.round);
                        }
                    }
                    _ => {}
                }
                true
            }
            Err(_) => false,
        }
    }

    fn look_at_found(
        &mut self,
        directory: &OwnedFd,
        path: &Path,
        name: &OsStr,
        is_there: impl Fn(&OsString) -> bool,
        suspect: bool,
        harvest: &mut Harvest,
    ) {
        let stat = match files::look(directory, name) {
            Ok(stat) => stat,
            Err(Errno::ACCESS) if keys::is_certificate(name) => return self.fail_behind(path, harvest),
            // What is gone by now is swept up, and what was never more than a dangling link, a FIFO or a device is not ours.
            Err(_) => return,
        };
        if files::kind(&stat) != FileType::RegularFile || u64::try_from(stat.st_size).unwrap_or(0) > LARGEST {
            return;
        }
        let scheme = if keys::is_package(name) { Scheme::Pkcs12 } else { Scheme::File };
        let beside = present(directory, beside(scheme, name).into_iter().filter(is_there));
        self.look_at(&Candidate { directory, path, name, scheme, stat, beside, found: true, suspect }, harvest);
    }

    /// Looks at a file, unless it is as it was.
    fn look_at(&mut self, file: &Candidate<'_>, harvest: &mut Harvest) {
        let place = Place::new(file.scheme, file.path);
        if file.found && self.roots.contains(&place) {
            return;
        }
        let stamp = file.stamp(&mut self.buffer);
        let round = self.round;
        let before = self.known.get_mut(&place);
        let same = before.as_ref().is_some_and(|known| known.stamp == stamp);
        if let Some(known) = before {
            known.round = round;
        }
        if same && (!file.suspect || file.scheme == Scheme::Pkcs12) {
            return;
        }
        let trace = files::Hash::new().add(file.path.as_os_str().as_bytes()).add(&stamp.0.to_le_bytes()).0;
        if file.found && !file.suspect && self.blank.contains(&trace) {
            // It counts as not there.
            self.unmark(&place);
            return;
        }
        match file.read(&mut self.buffer) {
            Ok(Seen::Certificates(sight, der)) => {
                let again =
                    same.then(|| Sighting { place: place.clone(), stamp, sight: Some(sight.clone()), der: der.clone() });
                harvest.sightings.extend(self.report(&place, stamp, sight, der).or(again));
            }
            Ok(Seen::Closed) => harvest.closed.push((place, stamp)),
            // One that says what it is and is broken is told of, wherever it was found.
            Ok(Seen::Nothing { labelled, .. }) if file.found && !(labelled && keys::is_certificate(file.name)) => {
                self.blank.insert(trace);
                self.unmark(&place);
            }
            Ok(Seen::Nothing { fault, .. }) => {
                let detail = fault.unwrap_or_else(|| ContentError::Empty.to_string());
                let path = file.path.display().to_string();
                self.fail_with(&place, stamp, Problem::PlaceBroken { path, detail }, harvest);
            }
            Err(Unread::Missing | Unread::NotRegular) if file.found => self.unmark(&place),
            Err(Unread::Denied) if file.found && !keys::is_certificate(file.name) => self.unmark(&place),
            Err(unread) => self.fail_with(&place, stamp, unread.problem(file.path, false), harvest),
        }
    }

    /// The most specific root that a place lies in: its rules hold for the place.
    fn owner(&self, place: &Place) -> Option<&Place> {
        if let Some(root) = self.roots.get(place) {
            return Some(root);
        }
        let path = place.path();
        path.ancestors().find_map(|above| self.roots.get(&Place::new(Scheme::File, above)))
    }

    /// What is known at a path and below it.
    fn below(&self, path: &Path) -> impl Iterator<Item = (&Place, &Known)> {
        [Scheme::File, Scheme::Pkcs12].into_iter().flat_map(move |scheme| {
            let first = Place::new(scheme, path);
            let base = first.as_str().trim_end_matches('/').to_owned();
            self.known
                .range(first..)
                .map(move |(place, known)| (place.as_str().strip_prefix(base.as_str()), place, known))
                .take_while(|(rest, ..)| rest.is_some())
                // Neighbours begin alike, too: `/etc/ssl` and `/etc/ssl-old`.
                .filter(|(rest, ..)| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
                .map(|(_, place, known)| (place, known))
        })
    }

    /// What this survey has not found at a path and below is gone.
    fn sweep(&mut self, root: &Place, path: &Path, harvest: &mut Harvest) {
        let full = harvest.is_full();
        let unseen = self.below(path).filter(|(_, known)| known.round != self.round).map(|(place, _)| place);
        // Behind the bound nobody has looked.
        let gone = unseen.filter(|place| (!full || !place.path().exists()) && self.owner(place) == Some(root));
        let gone: Vec<Place> = gone.cloned().collect();
        harvest.sightings.extend(gone.iter().filter_map(|place| self.vanish(place)));
    }

    fn sweep_below(&mut self, root: &Place, path: &Path, harvest: &mut Harvest) {
        self.mark(root, self.round);
        self.sweep(root, path, harvest);
    }

    fn keep_below(&mut self, path: &Path) {
        let below: Vec<Place> = self.below(path).map(|(place, _)| place.clone()).collect();
        for place in below {
            self.mark(&place, self.round);
        }
    }

    /// Nothing of ours is there: left to the sweep.
    fn unmark(&mut self, place: &Place) {
        self.mark(place, self.round.wrapping_sub(1));
    }

    fn mark(&mut self, place: &Place, round: u32) {
        if let Some(known) = self.known.get_mut(place) {
            known.round = round;
        }
    }

    /// A link leads to where we may not look. All of a directory are told of together: they lead to one place as a rule.
    fn fail_behind(&mut self, path: &Path, harvest: &mut Harvest) {
        let directory = path.parent().map(|directory| Place::new(Scheme::File, directory));
        let place = directory.filter(|directory| !self.roots.contains(directory));
        let place = place.unwrap_or_else(|| Place::new(Scheme::File, path));
        self.fail(&place, Unread::Denied.problem(path, false), harvest);
    }

    fn fail(&mut self, place: &Place, problem: Problem, harvest: &mut Harvest) {
        self.fail_with(place, files::stamp([].iter()), problem, harvest);
    }

    fn fail_with(&mut self, place: &Place, stamp: Stamp, problem: Problem, harvest: &mut Harvest) {
        let sight = Sight { condition: Condition::Failed(problem), certificates: Vec::new() };
        harvest.sightings.extend(self.report(place, stamp, sight, Vec::new()));
    }
}

/// The stamp under which a sight is remembered: what failed is tried again at every survey, so it never has the file's own.
fn salted(stamp: Stamp, condition: &Condition) -> Stamp {
    match condition {
        Condition::Readable | Condition::Locked | Condition::Changed => stamp,
        Condition::Failed(problem) => Stamp(files::Hash(stamp.0).add(problem.kind().as_bytes()).0),
    }
}

/// The names in a directory, sorted, up to the bound.
fn list(directory: impl AsFd, harvest: &mut Harvest) -> Result<Names, Errno> {
    let mut names = Names::default();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        harvest.names += 1;
        if harvest.is_full() {
            break;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let found = rustix::fs::statat(&directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
                found.map_or(FileType::Unknown, |stat| files::kind(&stat))
            }
            known => known,
        };
        names.push(name, kind);
    }
    names.sort();
    Ok(names)
}

/// Whether a change to some names of a directory may change what is seen at another.
fn is_concerned(directory: &OwnedFd, name: &OsStr, kind: FileType, changed: &BTreeSet<OsString>) -> bool {
    match kind {
        FileType::Symlink => {
            // Its way may lead through a link to a directory, as where whole versions are switched at once.
            let through = |target: &Path| target.components().any(|part| changed.contains(part.as_os_str()));
            let target = rustix::fs::readlinkat(directory, name, Vec::new());
            target.is_ok_and(|target| through(Path::new(OsStr::from_bytes(target.to_bytes()))))
                || keys::neighbours(name).iter().any(|other| changed.contains(other))
        }
        FileType::RegularFile => keys::neighbours(name).iter().any(|other| changed.contains(other)),
        _ => false,
    }
}

fn too_many(path: &Path, limit: String) -> Problem {
    Problem::TooManyFiles { path: path.display().to_string(), limit }
}
