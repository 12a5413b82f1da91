//! Reads files that may be anything, and writes files so that they are there whole or not at all. What is in them is for
//! others.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use obnovad::helper::HelperError;
use obnovad::helper::protocol::{MAX_FILE, Replacement, Sha256};
use openssl::sha::sha256;
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::failure::of_files;

/// Permissions of everything that may hold a private key.
const PRIVATE: u32 = 0o600;

/// Reads a regular file of at most [`MAX_FILE`] bytes. Symbolic links are followed; nothing else is opened, as opening a
/// FIFO waits and opening a device may act.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, HelperError> {
    check_regular(&fs::metadata(path).map_err(|error| of_files(&error))?)?;
    // The file may have been replaced since: do not wait, and look again.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| of_files(&error))?;
    check_regular(&file.metadata().map_err(|error| of_files(&error))?)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|error| of_files(&error))?;
    if content.len() as u64 > MAX_FILE { Err(HelperError::TooLarge { limit: MAX_FILE }) } else { Ok(content) }
}

/// Writes a new file, mode 0600 and fsynced. An existing one is [`HelperError::AlreadyThere`].
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), HelperError> {
    write(path, content, rename_if_free)
}

/// Writes a file, mode 0600 and fsynced, in place of an older one.
pub(crate) fn write_over(path: &Path, content: &[u8]) -> Result<(), HelperError> {
    write(path, content, |from, to| fs::rename(from, to))
}

/// Copies `staged` to `target`, which must be free, with permissions `mode`, fsynced, if it has the digest `expected`.
pub(crate) fn place(staged: &Path, target: &Path, mode: u32, expected: &Sha256) -> Result<(), HelperError> {
    check_regular(&fs::metadata(staged).map_err(|error| of_files(&error))?)?;
    let mut source = File::open(staged).map_err(|error| of_files(&error))?;
    refuse_existing(target)?;
    publish(target, ".obnova-new", mode, rename_if_free, |file, path| {
        io::copy(&mut source, file).map_err(|error| of_files(&error))?;
        file.sync_all().map_err(|error| of_files(&error))?;
        if sha256(&read(path)?) == *expected { Ok(()) } else { Err(HelperError::Changed) }
    })
}

/// Puts staged files in the place of others. Everything that may fail comes first: a copy of each old file, and each new one,
/// whole and fsynced, under a name of its own. Then they are renamed, one directly after the other.
pub(crate) fn replace(files: &[Replacement]) -> Result<(), HelperError> {
    let mut ready = Vec::new();
    for file in files {
        ready.extend(prepare(file)?);
    }
    for (temporary, target) in &mut ready {
        fs::rename(&temporary.path, target).map_err(|error| of_files(&error))?;
        temporary.renamed = true;
    }
    for (_, target) in &ready {
        let directory = File::open(directory_of(target)).map_err(|error| of_files(&error))?;
        sync_directory(&directory).map_err(|error| of_files(&error))?;
    }
    Ok(())
}

/// Copies the old file, and writes the new one beside it; `None` if it is in its place already.
fn prepare(file: &Replacement) -> Result<Option<(Temporary, PathBuf)>, HelperError> {
    // A link stays a link: what it leads to is replaced.
    let target = fs::canonicalize(&*file.target).map_err(|error| of_files(&error))?;
    let old = Zeroizing::new(read(&target)?);
    if sha256(&old) == file.sha256 {
        return Ok(None);
    }
    if sha256(&old) != file.old_sha256 {
        return Err(HelperError::Changed);
    }
    let metadata = fs::metadata(&target).map_err(|error| of_files(&error))?;
    keep(file, &old, &metadata)?;
    let new = Zeroizing::new(read(&file.staged)?);
    if sha256(&new) != file.sha256 {
        return Err(HelperError::Changed);
    }
    let mut temporary = Temporary::create(&target, ".obnova-new").map_err(|error| of_files(&error))?;
    let written = temporary.file.write_all(&new).and_then(|()| like(&temporary.file, &metadata));
    written.map_err(|error| of_files(&error))?;
    Ok(Some((temporary, target)))
}

/// Keeps a copy of the old file, with its owner and permissions.
fn keep(file: &Replacement, old: &[u8], metadata: &fs::Metadata) -> Result<(), HelperError> {
    match digest(&file.copy)? {
        Some(kept) if kept == file.old_sha256 => return Ok(()),
        Some(_) => return Err(HelperError::AlreadyThere),
        None => {}
    }
    let mode = metadata.mode() & 0o7777;
    publish(&file.copy, ".obnova-new", mode, rename_if_free, |copy, _| {
        copy.write_all(old).and_then(|()| like(copy, metadata)).map_err(|error| of_files(&error))
    })
}

/// Gives a file the owner and the permissions of another, and makes it durable.
fn like(file: &File, metadata: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777))?;
    file.sync_all()
}

/// The digest of a regular file, or `None` if there is none.
pub(crate) fn digest(path: &Path) -> Result<Option<Sha256>, HelperError> {
    match read(path) {
        Ok(content) => Ok(Some(sha256(&content))),
        Err(HelperError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails if there is anything at `path`, be it a link that leads nowhere. Spares work; the decision falls on renaming.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), HelperError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(HelperError::AlreadyThere),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(of_files(&error)),
    }
}

fn check_regular(metadata: &fs::Metadata) -> Result<(), HelperError> {
    if !metadata.is_file() {
        Err(HelperError::NotRegular)
    } else if metadata.len() > MAX_FILE {
        Err(HelperError::TooLarge { limit: MAX_FILE })
    } else {
        Ok(())
    }
}

fn write(path: &Path, content: &[u8], rename: fn(&Path, &Path) -> io::Result<()>) -> Result<(), HelperError> {
    publish(path, ".tmp", PRIVATE, rename, |file, _| {
        file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| of_files(&error))
    })
}

/// Fills a temporary file beside `path` and renames it to `path`. Afterwards the temporary file is gone, come what may.
fn publish(
    path: &Path,
    suffix: &str,
    mode: u32,
    rename: fn(&Path, &Path) -> io::Result<()>,
    fill: impl FnOnce(&mut File, &Path) -> Result<(), HelperError>,
) -> Result<(), HelperError> {
    // Opened before anything is written: what could not be made durable shall not come into being.
    let directory = File::open(directory_of(path)).map_err(|error| of_files(&error))?;
    let mut temporary = Temporary::create(path, suffix).map_err(|error| of_files(&error))?;
    fill(&mut temporary.file, &temporary.path)?;
    // Only now, as a mode may forbid reading back; and here rather than at creation, where the umask has a say.
    let permitted = temporary.file.set_permissions(Permissions::from_mode(mode)).and_then(|()| temporary.file.sync_all());
    permitted.map_err(|error| of_files(&error))?;
    rename(&temporary.path, path).map_err(|error| of_files(&error))?;
    temporary.renamed = true;
    sync_directory(&directory).map_err(|error| of_files(&error))
}

/// A file that only we know, removed on drop unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    /// Creates it anew with mode 0600. One that an earlier, killed helper left is removed first.
    fn create(path: &Path, suffix: &str) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push(suffix);
        let path = PathBuf::from(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(&path)?;
        Ok(Self { path, file, renamed: false })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed && fs::remove_file(&self.path).is_err() {
            // The failure that brought us here is on its way already. At least no secret stays readable in what is left.
            let _emptied: io::Result<()> = self.file.set_len(0);
        }
    }
}

/// Renames without ever replacing anything: renameat2(2), or link(2) where the file system does not know that flag.
fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => link_and_unlink(from, to),
        renamed => Ok(renamed?),
    }
}

fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Makes a rename durable. Some file systems have nothing to sync in a directory, and say so with EINVAL.
fn sync_directory(directory: &File) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        synced => Ok(synced?),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_way_of_renaming_replaces_a_file() {
        for rename in [rename_if_free, link_and_unlink] {
            let directory = tempfile::tempdir().expect("directory");
            let (from, to) = (directory.path().join("from"), directory.path().join("to"));
            fs::write(&from, "new").expect("write");
            rename(&from, &to).expect("the name is free");
            assert_eq!(fs::read_to_string(&to).expect("read"), "new");
            assert!(!from.exists());

            fs::write(&from, "newer").expect("write");
            let refused = rename(&from, &to).expect_err("the name is taken");
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(&to).expect("read"), "new");
            assert!(from.exists());
        }
    }

    #[test]
    fn a_file_without_directory_is_in_the_current_one() {
        assert_eq!(directory_of(Path::new("key.pem")), Path::new("."));
        assert_eq!(directory_of(Path::new("/key.pem")), Path::new("/"));
        assert_eq!(directory_of(Path::new("/a/key.pem")), Path::new("/a"));
    }
}
