//! Touching files of strangers without harm: never waits on a FIFO, never opens a device, never reads without a bound.
//! Owns why a file could not be read, and the stamps; what the bytes mean is not in here.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use obnova_core::Problem;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::Stamp;

/// The largest file that is read, in bytes; the same as obnova-helper's.
pub(super) const LARGEST: u64 = crate::helper::protocol::MAX_FILE;

/// [`LARGEST`] as a person reads it.
const LARGEST_TEXT: &str = "1 MiB";

/// How many links are gone along, one to the next; as many as Linux does.
const LINKS: usize = 40;

/// Counts the rules by which files are read: a daemon with other rules must not rely on the stamps of its predecessor.
const RULES: u64 = 1;

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// Nothing is there, or a link leads nowhere.
    Missing,
    /// We may not.
    Denied,
    /// No regular file (nor a directory, where one may be), or a circle of links.
    NotRegular,
    /// Larger than [`LARGEST`].
    TooLarge,
    /// Anything else, such as a defect of the disk.
    Failed(io::Error),
}

impl From<Errno> for Unread {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            // NXIO: a socket or a device without driver; LOOP: links in a circle.
            Errno::LOOP | Errno::NXIO | Errno::NODEV => Self::NotRegular,
            other => Self::Failed(other.into()),
        }
    }
}

impl Unread {
    /// What a person is told. `directory`: a directory was to be listed there.
    pub(super) fn problem(&self, at: &Path, directory: bool) -> Problem {
        let path = at.display().to_string();
        match self {
            Self::Missing => Problem::PlaceMissing { path },
            Self::Denied => Problem::PlaceDenied { path, command: opening_command(at, directory) },
            Self::NotRegular => Problem::PlaceNotRegular { path },
            Self::TooLarge => Problem::PlaceTooLarge { path, limit: LARGEST_TEXT.into() },
            Self::Failed(error) => Problem::PlaceBroken { path, detail: error.to_string() },
        }
    }
}

/// A handle on a directory for looking up names in it, which takes no right to list it.
pub(super) fn stand_in(directory: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// What stands at `name`, behind all links.
pub(super) fn look(directory: impl AsFd, name: &OsStr) -> Result<Stat, Errno> {
    statat(directory, name, AtFlags::empty())
}

/// What kind of thing it is.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Reads at most `limit` bytes of a regular file into `buffer`, whose old content goes; more than [`LARGEST`] is an error
/// unless `limit` is less. Wipes nothing: that is the buffer's own affair when it is dropped.
pub(super) fn read(directory: impl AsFd, name: &OsStr, buffer: &mut Zeroizing<Vec<u8>>, limit: u64) -> Result<(), Unread> {
    buffer.clear();
    // It was regular a moment ago; should it be a FIFO or a device by now, opening it neither waits nor takes a terminal.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if kind(&look(&directory, name)?) != FileType::RegularFile {
        return Err(Unread::NotRegular);
    }
    let file = openat(&directory, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    if kind(&stat) != FileType::RegularFile {
        return Err(Unread::NotRegular);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if limit >= LARGEST && size > LARGEST {
        return Err(Unread::TooLarge);
    }
    let most = usize::try_from(limit.min(LARGEST)).map_err(|_| Unread::TooLarge)?;
    // Room for all at once: a buffer that grows leaves copies of what may be a key behind. No more than the file has, or the
    // process would keep a megabyte for a few kilobytes.
    let room = usize::try_from(size).map_or(most, |size| size.min(most));
    if buffer.capacity() <= room {
        *buffer = Zeroizing::new(Vec::with_capacity(room + 1));
    }
    while buffer.len() <= room {
        match rustix::io::read(&file, spare_capacity(buffer)) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if room == most && limit >= LARGEST {
        return Err(Unread::TooLarge);
    }
    // It has grown since: that is reported, and it is read again.
    buffer.truncate(room);
    Ok(())
}

/// The stamp of a file and of those beside it that tell more about it.
///
/// The device is left out: on Btrfs and in containers its number changes from start to start.
pub(super) fn stamp<'a>(files: impl Iterator<Item = &'a Stat>) -> Stamp {
    let mut hash = Hash::new().add(&RULES.to_le_bytes());
    for stat in files {
        hash = hash
            .add(&stat.st_ino.to_le_bytes())
            .add(&stat.st_size.to_le_bytes())
            .add(&stat.st_mtime.to_le_bytes())
            .add(&stat.st_mtime_nsec.to_le_bytes())
            .add(&stat.st_ctime.to_le_bytes())
            .add(&stat.st_ctime_nsec.to_le_bytes());
    }
    Stamp(hash.0)
}

/// FNV-1a: the same in every build, as what is stored must be, and nobody gains by a collision.
pub(super) struct Hash(pub(super) u64);

impl Hash {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
    }
}

/// The command that opens to this process what it may not read.
pub(super) fn opening_command(at: &Path, directory: bool) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let (barred, itself) = barrier(at);
    let right = match (itself, directory) {
        (false, _) => "x",
        (true, true) => "rx",
        (true, false) => "r",
    };
    format!("sudo setfacl -m u:{uid}:{right} {}", quoted(&barred))
}

/// What bars the way to what this process may not read, which may be a directory above, or one to which a link leads; and whether it
/// is the file or directory itself.
pub(super) fn barrier(at: &Path) -> (PathBuf, bool) {
    // A link is opened where it leads to.
    let behind = (0..LINKS).try_fold(at.to_path_buf(), |at, _| match std::fs::read_link(&at) {
        Ok(target) => Ok(straight(&at.parent().unwrap_or(Path::new("/")).join(target))),
        Err(_) => Err(at),
    });
    let at = behind.unwrap_or_else(|last| last);
    let mut above: Vec<&Path> = at.ancestors().skip(1).collect();
    above.reverse();
    for (index, barrier) in above.iter().enumerate() {
        let below = above.get(index + 1).copied().unwrap_or(&at);
        if matches!(statat(CWD, below, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::ACCESS)) {
            return (barrier.to_path_buf(), false);
        }
    }
    (at, true)
}

/// The path without detours over `..`.
fn straight(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut straight, part| {
        match part {
            Component::ParentDir => drop(straight.pop()),
            part => straight.push(part),
        }
        straight
    })
}

/// The path as one word of a POSIX shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(byte);
    if path.as_os_str().as_bytes().iter().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_strange_names() {
        assert_eq!(quoted(Path::new("/etc/ssl/a.pem")), "/etc/ssl/a.pem");
        assert_eq!(quoted(Path::new("/etc/Anna's; rm -r")), r"'/etc/Anna'\''s; rm -r'");
    }

    #[test]
    fn every_failure_has_its_own_problem() {
        let kinds = [
            (Unread::Missing, "place-missing"),
            (Unread::Denied, "place-denied"),
            (Unread::NotRegular, "place-not-regular"),
            (Unread::TooLarge, "place-too-large"),
            (Unread::Failed(io::ErrorKind::InvalidData.into()), "place-broken"),
        ];
        for (unread, kind) in kinds {
            assert_eq!(unread.problem(Path::new("/x"), false).kind(), kind);
        }
    }
}
