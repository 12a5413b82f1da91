//! What the kernel reports of the directories of a Maildir (inotify). Which of it is a mail is `maildir`'s to say.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kernel's reports. Waiting for them costs nothing.
pub(super) struct Doorbell {
    inotify: AsyncFd<OwnedFd>,
    watched: HashMap<i32, PathBuf>,
}

/// What was reported at one time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rings {
    /// These files are whole and new there.
    pub(super) whole: BTreeSet<PathBuf>,
    /// These names are new there; somebody may still be writing.
    pub(super) begun: BTreeSet<PathBuf>,
    /// A watched directory has gone, or reports were lost: everything is to be looked at.
    pub(super) all: bool,
}

impl Doorbell {
    /// Fails when the user has no more inotify instances (`fs.inotify.max_user_instances`).
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor is unsafe for the sake of types that may change their descriptor")]
        let inotify = AsyncFd::with_interest(inotify, Interest::READABLE)?;
        Ok(Self { inotify, watched: HashMap::new() })
    }

    /// Reports of a directory what comes into it, and that it goes.
    pub(super) fn watch(&mut self, directory: &Path) -> io::Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::EXCL_UNLINK;
        self.add(directory, flags)
    }

    /// Reports of a directory what stands in it by other names, or may be entered otherwise, than before.
    pub(super) fn watch_names(&mut self, directory: &Path) -> io::Result<()> {
        let flags =
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        self.add(directory, flags)
    }

    fn add(&mut self, directory: &Path, flags: WatchFlags) -> io::Result<()> {
        let watch = inotify::add_watch(self.inotify.get_ref(), directory, flags | WatchFlags::ONLYDIR)?;
        self.watched.insert(watch, directory.to_owned());
        Ok(())
    }

    /// Waits for reports.
    pub(super) async fn rings(&mut self) -> io::Result<Rings> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut rings = Rings::default();
            let read = read(self.inotify.get_ref(), &self.watched, &mut rings);
            ready.clear_ready();
            read?;
            if rings != Rings::default() {
                return Ok(rings);
            }
        }
    }
}

fn read(inotify: &OwnedFd, watched: &HashMap<i32, PathBuf>, rings: &mut Rings) -> io::Result<()> {
    let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::QUEUE_OVERFLOW;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(inotify, &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        rings.all |= event.events().intersects(gone);
        let (Some(directory), Some(name)) = (watched.get(&event.wd()), event.file_name()) else { continue };
        let path = directory.join(OsStr::from_bytes(name.to_bytes()));
        if event.events().intersects(ReadFlags::CREATE | ReadFlags::ATTRIB) {
            rings.begun.insert(path);
        } else if event.events().intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
            rings.begun.remove(&path);
            rings.whole.insert(path);
        }
    }
}
