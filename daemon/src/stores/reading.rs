//! Reading one file of a place, and what lies beside it that tells more. Whether that is news is the survey's.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use obnova_core::world::{Condition, Found, Sight};
use obnova_core::{Place, Scheme};
use rustix::fs::{FileType, Stat};
use zeroize::Zeroizing;

use super::content::{self, Contents};
use super::files::{self, LARGEST, Unread};
use super::{Stamp, keys};

/// A file to be looked at.
pub(super) struct Candidate<'a> {
    pub(super) directory: &'a OwnedFd,
    pub(super) path: &'a Path,
    pub(super) name: &'a OsStr,
    pub(super) scheme: Scheme,
    pub(super) stat: Stat,
    /// What may tell more about it and exists, relative to the directory.
    pub(super) beside: Vec<(OsString, Stat)>,
    /// Found in a directory, not named: only what holds certificates is of interest.
    pub(super) found: bool,
    /// Something was reported of it: it is read even if the stamp is the same, for clocks are coarse.
    pub(super) suspect: bool,
}

impl Candidate<'_> {
    /// What it is like now, before its content is understood; by way of `buffer`.
    ///
    /// A PKCS#12 file is stamped by its content: one that was only touched or copied must not ask for its password again.
    pub(super) fn stamp(&self, buffer: &mut Zeroizing<Vec<u8>>) -> Stamp {
        let beside = self.beside.iter().map(|(_, stat)| stat);
        if self.scheme == Scheme::Pkcs12 && files::read(self.directory, self.name, buffer, LARGEST).is_ok() {
            return files::stamp(beside).of_content(buffer);
        }
        files::stamp(std::iter::once(&self.stat).chain(beside))
    }

    /// Reads it, by way of `buffer`.
    pub(super) fn read(&self, buffer: &mut Zeroizing<Vec<u8>>) -> Result<Seen, Unread> {
        match self.scheme {
            Scheme::Pkcs12 => self.read_package(buffer),
            _ => self.read_file(buffer),
        }
    }

    fn read_file(&self, buffer: &mut Zeroizing<Vec<u8>>) -> Result<Seen, Unread> {
        if self.found {
            files::read(self.directory, self.name, buffer, content::HEAD as u64)?;
            if !content::is_promising(buffer) {
                return Ok(Seen::Nothing { fault: None, labelled: false });
            }
        }
        if !self.found || buffer.len() == content::HEAD {
            files::read(self.directory, self.name, buffer, LARGEST)?;
        }
        let contents = Contents::of(buffer);
        if contents.certificates.is_empty() {
            return Ok(Seen::Nothing { fault: contents.fault, labelled: contents.labelled });
        }
        let key = contents.key || self.beside.iter().any(|(name, _)| is_key(self.directory, name, buffer));
        Ok(Seen::of(contents, key))
    }

    /// A PKCS#12 file as far as it can be read without opening it: by the certificate beside it.
    fn read_package(&self, buffer: &mut Zeroizing<Vec<u8>>) -> Result<Seen, Unread> {
        for (name, _) in &self.beside {
            if let Err(unread) = files::read(self.directory, name, buffer, LARGEST) {
                tracing::debug!(?unread, "the file beside a PKCS#12 file cannot be read");
                continue;
            }
            let mut contents = Contents::of(buffer);
            if !contents.certificates.is_empty() {
                contents.certificates.truncate(1);
                return Ok(Seen::of(contents, true));
            }
        }
        // The helper reports what it cannot open; what we can tell takes no process.
        files::read(self.directory, self.name, buffer, LARGEST)?;
        Ok(Seen::Closed)
    }
}

/// What reading a file has shown.
pub(super) enum Seen {
    Certificates(Sight, Vec<Vec<u8>>),
    /// A PKCS#12 file that has to be opened.
    Closed,
    /// No certificate, for this reason.
    Nothing {
        /// Why not, if something in it might have been one.
        fault: Option<String>,
        /// Something in it is labelled as one.
        labelled: bool,
    },
}

impl Seen {
    /// The key is the first certificate's: whoever writes several into one file begins with his own.
    fn of(contents: Contents, key: bool) -> Self {
        let (certificates, der): (Vec<_>, _) = contents.certificates.into_iter().unzip();
        let found = |(index, certificate)| Found { certificate, key: key && index == 0 };
        let certificates = certificates.into_iter().enumerate().map(found).collect();
        Self::Certificates(Sight { condition: Condition::Readable, certificates }, der)
    }
}

/// Where a certificate file's key, or a PKCS#12 file's certificate, may be.
pub(super) fn beside(scheme: Scheme, name: &OsStr) -> Vec<OsString> {
    match scheme {
        Scheme::Pkcs12 => keys::of_package(name),
        _ => keys::of_certificate(name),
    }
}

/// Those of the names that are regular files.
pub(super) fn present(directory: &OwnedFd, names: impl Iterator<Item = OsString>) -> Vec<(OsString, Stat)> {
    let look = |name: OsString| files::look(directory, &name).ok().map(|stat| (name, stat));
    names.filter_map(look).filter(|(_, stat)| files::kind(stat) == FileType::RegularFile).collect()
}

/// Whether a file holds a private key. One that we may not read is taken at its name's word.
pub(super) fn is_key(directory: &OwnedFd, name: &OsStr, buffer: &mut Zeroizing<Vec<u8>>) -> bool {
    match files::read(directory, name, buffer, LARGEST) {
        Ok(()) => content::holds_key(buffer),
        Err(Unread::Denied) => keys::is_key(Path::new(name).file_name().unwrap_or(name)),
        Err(_) => false,
    }
}

/// Where `place` stands: its directory and its name in it.
pub(super) fn stand_at(place: &Place) -> Result<(OwnedFd, PathBuf, OsString), Unread> {
    let path = place.path();
    let name = path.file_name().ok_or(Unread::NotRegular)?.to_owned();
    let directory = files::stand_in(path.parent().unwrap_or(Path::new("/")))?;
    Ok((directory, path, name))
}
