//! Where the programs of a person keep their certificates, whether the program runs, and what they keep beside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

/// The directories of programs with several profiles, below a home; `profiles.ini` in them names these.
const PROGRAMS: [(&str, &str); 6] = [
    ("Thunderbird", ".thunderbird"),
    ("Thunderbird", ".var/app/org.mozilla.Thunderbird/.thunderbird"),
    ("Thunderbird", "snap/thunderbird/common/.thunderbird"),
    ("Firefox", ".mozilla/firefox"),
    ("Firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox"),
    ("Firefox", "snap/firefox/common/.mozilla/firefox"),
];

/// The database that other programs share (browsers, mail programs of GNOME).
const SHARED: &str = ".pki/nssdb";

/// The most profiles: nobody has more.
const MOST: usize = 64;

/// The longest file of settings in bytes that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// A directory with a certificate database.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// What the person calls the program.
    pub(super) program: &'static str,
    /// The directory.
    pub(super) directory: PathBuf,
    /// It is one of a program's own, that locks it while it runs.
    own: bool,
}

/// Whether a database may be written now.
pub(super) enum Hold {
    /// Its program runs.
    Running,
    /// Its program does not start as long as this is held.
    Held {
        /// Released with the file.
        _lock: File,
    },
    /// Programs share it, which expect others to write.
    Shared,
}

/// All that have a database already: none is made.
pub(super) fn all(home: &Path) -> Vec<Profile> {
    let mut all = Vec::new();
    for (program, below) in PROGRAMS {
        let base = home.join(below);
        let Some(index) = read(&base.join("profiles.ini")) else { continue };
        let paths = index.lines().filter_map(|line| line.trim().strip_prefix("Path="));
        // An absolute path stays what it is.
        all.extend(paths.map(|path| Profile { program, directory: base.join(path), own: true }));
    }
    all.push(Profile::shared(home));
    all.retain(|profile| profile.directory.join("cert9.db").is_file());
    all.truncate(MOST);
    all
}

impl Profile {
    /// The one that belongs to no program alone.
    pub(super) fn shared(home: &Path) -> Self {
        Self { program: "Other programs", directory: home.join(SHARED), own: false }
    }

    /// Keeps the program from starting as long as the file is held that comes of it.
    pub(super) fn hold(&self) -> io::Result<Hold> {
        if !self.own {
            return Ok(Hold::Shared);
        }
        // The lock of the program itself, by which it refuses to start twice.
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(self.directory.join(".parentlock"))?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Hold::Held { _lock: file }),
            Err(Errno::ACCESS | Errno::AGAIN) => Ok(Hold::Running),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the program loads this PKCS#11 module.
    pub(super) fn has_module(&self, module: &Path) -> bool {
        let library = format!("library={}", module.display());
        read(&self.directory.join("pkcs11.txt")).is_some_and(|text| text.lines().any(|line| line.trim() == library))
    }

    /// The text of its settings, where it has such.
    pub(super) fn preferences(&self) -> Option<String> {
        read(&self.directory.join("prefs.js"))
    }

    /// Puts others in their place, whole or not at all.
    pub(super) fn write_preferences(&self, text: &str) -> io::Result<()> {
        let path = self.directory.join("prefs.js");
        let new = self.directory.join("prefs.js.obnova");
        let mode = fs::metadata(&path)?.permissions().mode();
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.directory)?.sync_all()
    }
}

fn read(path: &Path) -> Option<String> {
    let fit = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LONGEST);
    if fit { fs::read_to_string(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_those_that_the_index_names_and_that_have_a_database() {
        let home = tempfile::tempdir().expect("a home");
        let base = home.path().join(".thunderbird");
        let elsewhere = home.path().join("elsewhere");
        for directory in [base.join("abc.default"), elsewhere.clone(), base.join("stray"), base.join("empty")] {
            fs::create_dir_all(&directory).expect("made");
            if !directory.ends_with("empty") {
                fs::write(directory.join("cert9.db"), "").expect("written");
            }
        }
        let index = format!(
            "[Profile0]\nPath=abc.default\nIsRelative=1\n[Profile1]\nPath={}\n[Profile2]\nPath=empty\n",
            elsewhere.display()
        );
        fs::write(base.join("profiles.ini"), index).expect("written");
        let found: Vec<PathBuf> = all(home.path()).into_iter().map(|profile| profile.directory).collect();
        assert_eq!(found, [base.join("abc.default"), elsewhere]);
    }
}
