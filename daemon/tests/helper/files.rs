//! Placing files where programs expect them, never over another, in friendly and unfriendly file systems.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use obnovad::helper::{Helper, HelperError, KeyAlgorithm, Sha256};

use crate::bench::{Bench, mode_of};

/// A staged file of `length` bytes and its digest.
async fn staged(bench: &Bench, length: usize) -> Sha256 {
    let path = bench.write("staged", vec![b'x'; length]);
    bench.helper.digest(&path).await.expect("digest").expect("there")
}

#[tokio::test]
async fn a_digest_is_what_openssl_says() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 100_000).await;
    assert_eq!(bench.openssl(&["dgst", "-sha256", "-binary", "staged"]), sha256);
    assert_eq!(bench.helper.digest(&bench.path("absent")).await.expect("absent"), None);
    let error = bench.helper.digest(&bench.path("")).await.expect_err("a directory");
    assert!(matches!(error, HelperError::NotRegular), "{error:?}");
}

#[tokio::test]
async fn a_file_is_placed_whole_and_with_its_mode() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 100_000).await;
    let strict = bench.helper_in("umask 077; exec");
    for (helper, mode) in [(&bench.helper, 0o600), (&bench.helper, 0o640), (&strict, 0o644), (&strict, 0o400)] {
        let target = bench.path(&format!("{mode:o}.p12"));
        bench.write(&format!("{mode:o}.p12.obnova-new"), "left by a killed helper");
        helper.place(&bench.path("staged"), &target, mode, sha256).await.expect("place");
        assert_eq!(fs::read(&target).expect("read"), bench.read("staged"));
        assert_eq!(mode_of(&target), mode);
    }
    assert!(bench.names().iter().all(|name| !name.ends_with(".obnova-new")), "{:?}", bench.names());
    assert_eq!(bench.read("staged").len(), 100_000, "the staged file stays");
}

#[tokio::test]
async fn nothing_is_ever_placed_over_something() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 10).await;
    let file = bench.write("target", "older");
    symlink(bench.path("nowhere"), bench.path("dangling")).expect("link");
    fs::create_dir(bench.path("directory")).expect("directory");
    let names = bench.names();
    for target in [&file, &bench.path("dangling"), &bench.path("directory")] {
        let error = bench.helper.place(&bench.path("staged"), target, 0o600, sha256).await.expect_err("taken");
        assert!(matches!(error, HelperError::AlreadyThere), "{}: {error:?}", target.display());
    }
    assert_eq!(fs::read(file).expect("read"), b"older");
    assert_eq!(bench.names(), names);
}

#[tokio::test]
async fn only_what_was_staged_is_placed() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 10).await;
    let (staged, target) = (bench.write("staged", "changed since"), bench.path("target"));
    let error = bench.helper.place(&staged, &target, 0o600, sha256).await.expect_err("another file");
    assert!(matches!(error, HelperError::Changed), "{error:?}");
    let error = bench.helper.place(&bench.path("absent"), &target, 0o600, sha256).await.expect_err("no file");
    assert!(matches!(error, HelperError::NotFound), "{error:?}");
    let error = bench.helper.place(&bench.path(""), &target, 0o600, sha256).await.expect_err("a directory");
    assert!(matches!(error, HelperError::NotRegular), "{error:?}");
    let nowhere = bench.path("no/target");
    let error = bench.helper.place(&staged, &nowhere, 0o600, sha256).await.expect_err("nowhere to go");
    assert!(matches!(error, HelperError::NotFound), "{error:?}");
    assert_eq!(bench.names(), ["staged"]);
}

#[tokio::test]
async fn a_link_left_in_the_way_is_not_followed() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 10).await;
    let precious = bench.write("precious", "precious");
    symlink(&precious, bench.path("target.obnova-new")).expect("link");
    bench.helper.place(&bench.path("staged"), &bench.path("target"), 0o600, sha256).await.expect("place");
    assert_eq!(fs::read(precious).expect("read"), b"precious");
    assert_eq!(fs::read(bench.path("target")).expect("read"), bench.read("staged"));
}

#[tokio::test]
async fn a_full_disk_is_told_and_left_clean() {
    let bench = Bench::new();
    let mounted = Mounted::new(&bench, "size=16k");
    let sha256 = staged(&bench, 100_000).await;
    let target = bench.path("mounted/target");
    let error = mounted.helper.place(&bench.path("staged"), &target, 0o600, sha256).await.expect_err("too small");
    assert!(matches!(error, HelperError::DiskFull), "{error:?}");
    assert_eq!(mounted.names(), "");

    let sha256 = staged(&bench, 4096).await;
    mounted.helper.place(&bench.path("staged"), &target, 0o600, sha256).await.expect("large enough");
    assert_eq!(mounted.names(), "target\n");
    mounted.run("head -c 12288 /dev/zero > rest || true");
    let key = bench.path("mounted/key");
    let error = mounted.helper.generate(KeyAlgorithm::Rsa2048, &key, None).await.expect_err("no room for a key");
    assert!(matches!(error, HelperError::DiskFull), "{error:?}");
    assert_eq!(mounted.names(), "rest\ntarget\n");
}

#[tokio::test]
async fn a_read_only_file_system_is_told() {
    let bench = Bench::new();
    let mounted = Mounted::new(&bench, "ro");
    let sha256 = staged(&bench, 10).await;
    let (target, key) = (bench.path("mounted/target"), bench.path("mounted/key"));
    let placed = mounted.helper.place(&bench.path("staged"), &target, 0o600, sha256).await;
    let generated = mounted.helper.generate(KeyAlgorithm::P256, &key, None).await.map(drop);
    for outcome in [placed, generated] {
        let error = outcome.expect_err("nothing can be written");
        assert!(matches!(error, HelperError::ReadOnly), "{error:?}");
    }
}

#[tokio::test]
async fn missing_permission_is_told() {
    let bench = Bench::new();
    let sha256 = staged(&bench, 10).await;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    allow(&bench.path("staged"), 0o644);
    let secret = bench.write("secret", "x");
    allow(&secret, 0o000);
    fs::create_dir(bench.path("closed")).expect("directory");
    allow(&bench.path("closed"), 0o555);

    let helper = bench.powerless_helper("");
    let error = helper.digest(&secret).await.expect_err("not readable");
    assert!(matches!(error, HelperError::Denied), "{error:?}");
    let target = bench.path("closed/target");
    let error = helper.place(&bench.path("staged"), &target, 0o644, sha256).await.expect_err("not writable");
    assert!(matches!(error, HelperError::Denied), "{error:?}");
    allow(&bench.path("closed"), 0o755);
}

/// A file system of its own at `mounted`, seen only by processes in a namespace, which takes no privilege.
struct Mounted {
    holder: Child,
    helper: Helper,
    /// The command that enters the namespace, to be followed by another.
    enter: String,
    point: PathBuf,
}

impl Mounted {
    fn new(bench: &Bench, options: &str) -> Self {
        let point = bench.path("mounted");
        fs::create_dir(&point).expect("mount point");
        let script = format!("mount -t tmpfs -o {options} none {} && echo mounted && exec cat", point.display());
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("read");
        assert_eq!(line, "mounted\n");
        let enter = format!("nsenter --target {} --user --preserve-credentials --mount", holder.id());
        Self { helper: bench.helper_in(&format!("exec {enter}")), holder, enter, point }
    }

    /// Runs a command in the mounted directory and returns what it prints.
    fn run(&self, command: &str) -> String {
        let inside = format!("{} sh -c 'cd {} && {command}'", self.enter, self.point.display());
        let output = Command::new("sh").args(["-c", &inside]).output().expect("sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn names(&self) -> String {
        self.run("ls")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Its input ends, and with it the namespace and the mount.
        drop(self.holder.stdin.take());
        self.holder.wait().expect("wait");
    }
}
