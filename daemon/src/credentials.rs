//! systemd's credentials of this service (systemd.exec(5), "Credentials"): the passwords and PINs that the configuration names. Reads one
//! when it is due, and keeps none.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use obnova_core::{Place, Problem};
use obnova_secret::{Secret, SecretError};

/// Which credential opens which places. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Where systemd has put them (`$CREDENTIALS_DIRECTORY`).
    directory: Option<PathBuf>,
    named: Arc<RwLock<Vec<Named>>>,
}

/// A credential, and what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// A file, a directory of files, or a token.
    pub place: Place,
    /// Its name, which is that of a file.
    pub name: String,
}

impl Named {
    /// Whether a credential may be called so: by characters that mean nothing to a shell or a unit file.
    pub fn is_name(name: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.len() <= 200 && name.bytes().all(plain) && !name.starts_with(['.', '-'])
    }

    /// What was to open this place, and does not.
    pub fn wrong(&self, place: &Place) -> Problem {
        Problem::WrongCredential { credential: self.name.clone(), path: place.shown(), command: command(&self.name) }
    }
}

/// The command that asks for the secret, encrypts it for this computer, and hands it to the service.
fn command(name: &str) -> String {
    let unit = "/etc/systemd/system/obnovad.service.d";
    let encrypted = format!("systemd-creds encrypt -p --name={name}");
    let written = format!("(echo [Service]; {encrypted} - -) >{unit}/{name}.conf");
    let taken_up = ["systemctl daemon-reload", "systemctl restart obnovad"].join(" && ");
    let as_root = [format!("mkdir -p {unit}"), written, taken_up].join(" && ");
    ["systemd-ask-password -n", &format!("sudo sh -c '{as_root}'")].join(" | ")
}

impl Credentials {
    /// Those in a directory that are named so.
    pub fn new(directory: Option<PathBuf>, named: Vec<Named>) -> Self {
        Self { directory, named: Arc::new(RwLock::new(named)) }
    }

    /// None at all.
    pub fn none() -> Self {
        Self::new(None, Vec::new())
    }

    /// From now on these are named.
    pub fn rename(&self, named: Vec<Named>) {
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// Those that are named.
    pub fn named(&self) -> Vec<Named> {
        self.named.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that is to open a place: of several the one that is named for the least.
    pub fn of(&self, place: &Place) -> Option<Named> {
        let fits = |named: &Named| place.is_within(&named.place);
        self.named().into_iter().filter(fits).max_by_key(|named| named.place.as_str().len())
    }

    /// Reads one. A newline at its end does not belong to it.
    pub fn read(&self, named: &Named) -> Result<Secret, Problem> {
        self.read_for(&named.name, &named.place.shown())
    }

    /// The same by its name; `shown`: what it opens.
    pub fn read_for(&self, name: &str, shown: &str) -> Result<Secret, Problem> {
        let failed = |detail: String| Problem::NoCredential {
            credential: name.to_owned(),
            path: shown.to_owned(),
            detail,
            command: command(name),
        };
        let directory = self.directory.as_ref().ok_or_else(|| failed("missing".to_owned()))?;
        // Never waits, whatever somebody has put there.
        let mut options = File::options();
        let options = options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(directory.join(OsStr::new(name))).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("missing".to_owned()),
            _ => failed(error.to_string()),
        })?;
        let mut secret = Secret::read_from(file).map_err(|error| match error {
            SecretError::Io(error) => failed(error.to_string()),
            other => failed(other.to_string()),
        })?;
        if secret.expose().last() == Some(&b'\n') {
            secret.truncate(secret.expose().len() - 1);
        }
        if secret.is_empty() { Err(failed("empty".to_owned())) } else { Ok(secret) }
    }

    /// What a credential says of a place; `None`: none is named for it.
    pub fn find(&self, place: &Place) -> Option<(Named, Result<Secret, Problem>)> {
        self.of(place).map(|named| {
            let secret = self.read(&named);
            (named, secret)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(place: &str, name: &str) -> Named {
        Named { place: Place::parse(place).expect("a place"), name: name.into() }
    }

    #[test]
    fn the_closest_name_counts_and_a_newline_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let all = vec![named("file:/srv", "all"), named("p12:/srv/mail/a.p12", "one"), named("p12:/srv/b.p12", "none")];
        let credentials = Credentials::new(Some(directory.path().to_owned()), all);
        std::fs::write(directory.path().join("all"), "of all\n\n").expect("written");
        std::fs::write(directory.path().join("one"), "of one").expect("written");
        let read = |place: &str| {
            let found = credentials.find(&Place::parse(place).expect("a place"))?;
            Some(found.1.map(|secret| String::from_utf8(secret.expose().to_vec()).expect("text")))
        };
        assert_eq!(read("p12:/srv/mail/a.p12"), Some(Ok("of one".to_owned())));
        assert_eq!(read("file:/srv/mail/a.pem"), Some(Ok("of all\n".to_owned())));
        assert_eq!(read("file:/home/a.pem"), None);
        let missing = read("p12:/srv/b.p12").expect("named").expect_err("missing");
        assert_eq!(missing.kind(), "no-credential");
        assert!(missing.args()["command"].contains("--name=none "), "{missing}");
        std::fs::create_dir(directory.path().join("none")).expect("made");
        let unreadable = read("p12:/srv/b.p12").expect("named").expect_err("no file");
        assert!(unreadable.args()["detail"].contains("directory"), "{unreadable}");
        assert!(Credentials::new(None, credentials.named()).find(&named("file:/srv", "").place).expect("named").1.is_err());
    }

    #[test]
    fn names_are_plain() {
        for (name, fine) in
            [("office", true), ("obnova.office-2", true), ("", false), ("../x", false), ("a b", false), ("-a", false)]
        {
            assert_eq!(Named::is_name(name), fine, "{name}");
        }
    }
}
