//! What the kernel is asked to report (inotify), and which watched root a report concerns. Owns the descriptors of its
//! watches and knows nothing of what files hold.
//!
//! Only directories are watched, apart from files in directories that cannot be listed. A file that is open for writing
//! counts as changed when it is closed. Changed names of directories far above are noticed, those of mounts are not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use obnova_core::Place;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::keys;

/// How many links are followed on the way to a root, as many as the kernel does.
const MOST_LINKS: u32 = 40;

/// Reports on what stands in a directory.
const CONTENT: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::EXCL_UNLINK);

/// Reports on a directory or file itself.
const ITSELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);

/// The reports after which a watch stands on nothing, or on something of another name.
const UPROOTED: ReadFlags =
    ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::UNMOUNT).union(ReadFlags::IGNORED);

/// What may have changed, root by root.
pub(super) type Dirt = BTreeMap<Place, Dirty>;

/// What may have changed below a root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dirty {
    /// Anything.
    Whole,
    /// These names in these directories.
    Names(BTreeMap<PathBuf, BTreeSet<OsString>>),
}

/// The watches.
#[derive(Debug)]
pub(super) struct Eyes {
    inotify: Arc<OwnedFd>,
    watches: HashMap<i32, Interests>,
    /// Roots that were surveyed as a whole before, and so may have interests that are void.
    surveyed: HashSet<Place>,
    /// Roots of which not everything could be watched, because the system's limit was reached.
    blind: HashSet<Place>,
}

/// Why something is watched, and the survey that last found that to be justified.
type Interests = BTreeMap<(Place, Aim), u32>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// It leads to the root.
    Way,
    /// A name in it is the root, leads to it, or would if it existed.
    Name(OsString),
    /// All that is in this directory below the root.
    Listing(PathBuf),
    /// `target` in it is what the link `link` in the directory `directory` below the root leads to.
    Link { target: OsString, directory: PathBuf, link: OsString },
}

impl Eyes {
    /// Fails when the user has no more inotify instances (`fs.inotify.max_user_instances`).
    pub(super) fn open() -> io::Result<Self> {
        let inotify = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        Ok(Self { inotify, watches: HashMap::new(), surveyed: HashSet::new(), blind: HashSet::new() })
    }

    /// Becomes readable when there are reports.
    pub(super) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.inotify)
    }

    /// Takes all reports that have come, without waiting.
    pub(super) fn read(&mut self, roots: &BTreeSet<Place>, dirt: &mut Dirt) -> io::Result<()> {
        let inotify = Arc::clone(&self.inotify);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&*inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    dirt.extend(roots.iter().map(|root| (root.clone(), Dirty::Whole)));
                }
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.note(event.wd(), event.events(), name, dirt);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn note(&mut self, watch: i32, events: ReadFlags, name: Option<&OsStr>, dirt: &mut Dirt) {
        let uprooted = events.intersects(UPROOTED);
        for (root, aim) in self.watches.get(&watch).into_iter().flat_map(Interests::keys) {
            match (aim, name) {
                // The directory above reports that as well, by name; except when it is unmounted.
                (Aim::Listing(directory), None) if uprooted && !events.contains(ReadFlags::UNMOUNT) => {
                    if *directory == root.path() {
                        whole(dirt, root);
                    }
                }
                (Aim::Link { directory, link, .. }, None) => part(dirt, root, directory, link),
                (_, None) => whole(dirt, root),
                (Aim::Way, Some(_)) => {}
                (Aim::Name(wanted), Some(name)) => {
                    if keys::concerns(name, wanted) {
                        whole(dirt, root);
                    }
                }
                (Aim::Listing(directory), Some(name)) => {
                    part(dirt, root, directory, name);
                    if directory.file_name().is_some_and(|own| own == "private") {
                        // Keys of certificates that stand elsewhere.
                        whole(dirt, root);
                    }
                }
                (Aim::Link { target, directory, link }, Some(name)) => {
                    if target == name {
                        part(dirt, root, directory, link);
                    }
                }
            }
        }
        if events.contains(ReadFlags::IGNORED) {
            self.watches.remove(&watch);
        }
    }

    /// Watches the way to the root at `path`: every link on it, its last directory, or where it first ends. To be called
    /// before the root is looked at.
    pub(super) fn approach(&mut self, root: &Place, path: &Path, round: u32) {
        let mut rest = names(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            self.add(root, &at, ITSELF | WatchFlags::ONLYDIR, Aim::Way, round);
            let is_link = || std::fs::symlink_metadata(&next).map(|found| found.is_symlink());
            if rest.is_empty() || !matches!(is_link(), Ok(false)) {
                self.add_name(root, &at, &name, round);
            }
            // Looked at again, now that nothing can change unnoticed.
            match is_link() {
                Ok(true) if links < MOST_LINKS => {
                    links += 1;
                    let Ok(target) = std::fs::read_link(&next) else { return };
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    rest.extend(names(&target));
                }
                Ok(false) => at = next,
                Ok(true) | Err(_) => return,
            }
        }
    }

    /// Watches a name in a directory, or the file itself where the directory may not be listed.
    fn add_name(&mut self, root: &Place, directory: &Path, name: &OsStr, round: u32) {
        let aim = Aim::Name(name.to_owned());
        if !self.add(root, directory, CONTENT | ITSELF | WatchFlags::ONLYDIR, aim, round) {
            let itself = ITSELF | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
            self.add(root, &directory.join(name), itself, Aim::Way, round);
        }
    }

    /// Watches where the key of a root may be, if it is another directory than the certificate's.
    pub(super) fn attend(&mut self, root: &Place, directory: &Path, name: &OsStr, round: u32) {
        self.add(root, directory, CONTENT | ITSELF | WatchFlags::ONLYDIR, Aim::Name(name.to_owned()), round);
    }

    /// Watches all that is in a directory. To be called before it is listed.
    pub(super) fn list(&mut self, root: &Place, directory: &Path, round: u32) {
        self.add(root, directory, CONTENT | ITSELF | WatchFlags::ONLYDIR, Aim::Listing(directory.into()), round);
    }

    /// Watches what a link in a directory leads to.
    pub(super) fn follow(&mut self, root: &Place, directory: &Path, link: &OsStr, target: &Path, round: u32) {
        if let (Some(parent), Some(name)) = (target.parent(), target.file_name()) {
            let aim = Aim::Link { target: name.into(), directory: directory.into(), link: link.into() };
            self.add(root, parent, CONTENT | ITSELF | WatchFlags::ONLYDIR, aim, round);
        }
    }

    /// Whether the interest could be watched.
    fn add(&mut self, root: &Place, path: &Path, flags: WatchFlags, aim: Aim, round: u32) -> bool {
        let watch = match inotify::add_watch(&*self.inotify, path, flags | WatchFlags::MASK_ADD) {
            Ok(watch) => watch,
            Err(errno) => {
                if matches!(errno, Errno::NOSPC | Errno::NOMEM) {
                    tracing::warn!("the limit fs.inotify.max_user_watches is reached; some changes will not be noticed");
                    self.blind.insert(root.clone());
                }
                tracing::debug!(path = %path.display(), %errno, "not watched");
                return false;
            }
        };
        let interests = self.watches.entry(watch).or_default();
        if matches!(aim, Aim::Listing(_)) {
            // The same directory under a new name: what was noted under the old one is void.
            interests.retain(|(other, old), _| other != root || *old == aim || !matches!(old, Aim::Listing(_)));
        }
        interests.insert((root.clone(), aim), round);
        true
    }

    /// Whether the system's limit (`fs.inotify.max_user_watches`) keeps us from watching all of this root.
    pub(super) fn is_blind(&self, root: &Place) -> bool {
        self.blind.contains(root)
    }

    /// A survey of the whole root begins.
    pub(super) fn begin(&mut self, root: &Place) {
        self.blind.remove(root);
    }

    /// A survey of the whole root has ended: what it did not ask for any more is no longer watched.
    pub(super) fn finish(&mut self, root: &Place, round: u32) {
        if !self.surveyed.insert(root.clone()) {
            self.retain(|other, _, last| other != root || last == round);
        }
    }

    /// Nothing of this root is of interest any more.
    pub(super) fn forget(&mut self, root: &Place) {
        self.blind.remove(root);
        self.surveyed.remove(root);
        self.retain(|other, _, _| other != root);
    }

    /// A directory below a root is gone, or is none any more.
    pub(super) fn forget_below(&mut self, root: &Place, directory: &Path) {
        self.retain(|other, aim, _| {
            let (Aim::Listing(at) | Aim::Link { directory: at, .. }) = aim else { return true };
            other != root || !at.starts_with(directory)
        });
    }

    fn retain(&mut self, keep: impl Fn(&Place, &Aim, u32) -> bool) {
        let inotify = &self.inotify;
        self.watches.retain(|watch, interests| {
            interests.retain(|(root, aim), round| keep(root, aim, *round));
            if interests.is_empty() {
                // Fails only if the kernel has dropped it already.
                if let Err(errno) = inotify::remove_watch(&**inotify, *watch) {
                    tracing::debug!(%errno, "a watch was gone already");
                }
            }
            !interests.is_empty()
        });
    }
}

/// All of this root may have changed.
pub(super) fn whole(dirt: &mut Dirt, root: &Place) {
    dirt.insert(root.clone(), Dirty::Whole);
}

fn part(dirt: &mut Dirt, root: &Place, directory: &Path, name: &OsStr) {
    if let Dirty::Names(names) = dirt.entry(root.clone()).or_insert_with(|| Dirty::Names(BTreeMap::new())) {
        names.entry(directory.into()).or_default().insert(name.into());
    }
}

/// The names of a path, the last first.
fn names(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}
