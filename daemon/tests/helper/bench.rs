//! A scratch directory with a helper, and the openssl program that makes what the helper is to read and reads what it made.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use obnova_secret::Secret;
use obnovad::helper::Helper;
use tempfile::TempDir;

pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_obnova-helper");

/// With letters of one byte and of several, inside Latin-1 and outside.
pub(crate) const PASSWORD: &str = "Žluťoučký kůň für Grüße";

/// Every kind of key that is generated, as openssl's `-newkey` takes it.
pub(crate) const KINDS: [&[&str]; 5] = [
    &["rsa:2048"],
    &["rsa:3072"],
    &["rsa:4096"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
];

pub(crate) struct Bench {
    directory: TempDir,
    pub(crate) helper: Helper,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a scratch directory"), helper: Helper::at(HELPER) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("write");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("read")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("list");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Runs openssl in the scratch directory and returns what it prints; it must succeed.
    pub(crate) fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("timeout")
            .args(["60", "openssl"])
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn openssl_text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.openssl(arguments)).expect("UTF-8")
    }

    /// A self-signed certificate `NAME.crt` with the plain PKCS#8 key `NAME.key`, as `openssl req -x509` writes them.
    pub(crate) fn certificate(&self, name: &str, kind: &[&str]) -> Vec<u8> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-nodes", "-days", "20", "-keyout", &key, "-out", &certificate];
        arguments.extend(["-subj", &subject, "-newkey"]);
        arguments.extend(kind);
        self.openssl(&arguments);
        self.certificate_der(&certificate)
    }

    pub(crate) fn certificate_der(&self, name: &str) -> Vec<u8> {
        self.openssl(&["x509", "-in", name, "-outform", "DER"])
    }

    /// The `SubjectPublicKeyInfo` of a certificate, by openssl.
    pub(crate) fn spki(&self, certificate: &str) -> Vec<u8> {
        let pem = self.openssl(&["x509", "-in", certificate, "-noout", "-pubkey"]);
        self.write("spki.pem", pem);
        self.openssl(&["pkey", "-pubin", "-in", "spki.pem", "-outform", "DER"])
    }

    /// A helper under a name of its own, so that its processes can be told from those of other tests.
    pub(crate) fn helper_named(&self, name: &str, program: impl AsRef<Path>) -> (Helper, PathBuf) {
        let path = self.path(name);
        symlink(program, &path).expect("link");
        (Helper::at(&path), path)
    }

    /// A helper to which permissions and limits apply: that of the tests' own user, or, if that is root, of nobody. `before`
    /// is what the shell does before it starts it.
    pub(crate) fn powerless_helper(&self, before: &str) -> Helper {
        if !rustix::process::geteuid().is_root() {
            return self.helper_in(&format!("{before}\nexec"));
        }
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.directory.path(), open).expect("permissions");
        // Nobody may not enter the directory of the original.
        fs::copy(HELPER, self.path("copy")).expect("copy");
        let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
        self.helper_in(&format!("{before}\nexec {user} {} #", self.path("copy").display()))
    }

    /// A helper that is started by a shell script, which says in what surroundings; its last word has to be `exec`.
    pub(crate) fn helper_in(&self, script: &str) -> Helper {
        let path = self.write("surroundings", format!("#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{script} {HELPER}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        Helper::at(path)
    }
}

pub(crate) fn secret(text: impl AsRef<[u8]>) -> Secret {
    Secret::from_slice(&mut text.as_ref().to_vec()).expect("memory for a secret")
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

/// Whether a condition comes true within ten seconds. Asks again and again, letting others run.
pub(crate) fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
