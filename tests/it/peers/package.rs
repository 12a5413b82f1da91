//! The Debian package: what it says of itself, and its life on a computer that systemd has booted.
//!
//! It is packed of the development build's programs, stripped; `make deb` packs those of the release build by the same script.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use obnova_tests::Recipe;
use tempfile::TempDir;

use super::install::programs;

#[test]
fn the_same_programs_make_the_same_package() {
    let directory = TempDir::new().expect("a temporary directory");
    let [once, again] = ["once", "again"].map(|name| directory.path().join(name));
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let first = pack(&once, |_| {});
    let second = pack(&again, |command| {
        command.env("TMPDIR", &elsewhere).env("TZ", "Pacific/Auckland").env("LC_ALL", "C.UTF-8").env("LANGUAGE", "de");
    });
    assert!(
        fs::read(&first).expect("a package") == fs::read(&second).expect("a package"),
        "nothing of where and when is in it"
    );

    let field = |name: &str| {
        let output = Command::new("dpkg-deb").arg("--field").arg(&first).arg(name).output().expect("dpkg-deb runs");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    assert_eq!(field("Version"), env!("CARGO_PKG_VERSION"));
    let needed = field("Depends");
    for library in ["libc6 (>= ", "libssl3 (>= "] {
        assert!(needed.contains(library), "{needed}");
    }
    assert!(!needed.contains("pcsc"), "cards are looked for where there are some: {needed}");
}

#[test]
fn the_package_lives_on_a_booted_computer() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path();
    let newer = pack(&path.join("newer"), |_| {});
    older(&newer, &path.join("older"));
    for (file, name) in [("machine.pem", "Machine"), ("person.pem", "Person")] {
        let made = Recipe::new(name).days_left(40).make();
        fs::write(path.join(file), [made.pem(), made.key_pem()].concat()).expect("written");
    }
    fs::copy(root().join("tests/install/story.sh"), path.join("story.sh")).expect("copied");
    let output = Command::new(root().join("tests/install/system.sh"))
        .arg(path)
        .arg("story.sh")
        .output()
        .expect("system.sh runs (needs root)");
    let (told, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{told}\n{talk}", output.status);
    let lines = told.lines().filter_map(|line| line.strip_prefix('=')).filter_map(|line| line.split_once(' '));
    let said: BTreeMap<&str, &str> = lines.collect();
    let is = |key: &str, wanted: &str| assert_eq!(said.get(key), Some(&wanted), "{key}\n{told}\n{talk}");
    let has = |key: &str, wanted: &str| assert!(said[key].contains(wanted), "{key}: {}\n{told}\n{talk}", said[key]);

    // The service that comes with it.
    is("installed", "active");
    is("version", "0.0.9");
    has("status-nothing", "obnova status");
    // In spite of the bus, which must have heard of its user before.
    is("restarts", "0");
    is("enabled", "enabled enabled enabled");
    is("user", "obnova /var/lib/obnova:/usr/sbin/nologin");
    is("verified", "");
    is("verified-hers", "");
    has("verified-wrong", "LockPersonalty");
    is("secure", "yes");
    is("insecure", "yes");

    // This computer's certificate.
    has("status-unconfigured", "1 certificate watched");
    has("root-sees-unconfigured", "Machine");
    has("status-machine", "1 certificate watched");
    assert!(!said["status-machine"].contains("Machine"), "no names: {}", said["status-machine"]);
    has("root-sees", "Machine");
    has("anna-sees", "valid");
    assert!(!said["anna-sees"].contains("Machine"), "{}", said["anna-sees"]);
    has("anna-may-not", "You are not allowed to do this.");
    has("anna-may", "/srv/certificates is watched");
    is("stopped", "inactive");
    is("activated", "active");
    is("killed", "1 active another");
    has("status-kept", "1 certificate watched");
    is("cards", "");
    is("cards-stranger", "Not authorized.");

    // A person's.
    is("her-daemon", "active");
    has("her-status", "1 certificate watched");
    has("her-status", "obnova --system status");
    assert!(!said["her-status"].contains("Person"), "no names: {}", said["her-status"]);
    has("her-list", "Person");
    is("her-tray-before", "inactive");
    is("her-tray", "active");
    is("systems-daemon", "inactive");

    // A newer version, and none.
    is("upgraded", &format!("{} active another 0", env!("CARGO_PKG_VERSION")));
    is("upgraded-hers", "active another active");
    has("upgraded-status", "1 certificate watched");
    has("upgraded-her-status", "1 certificate watched");
    is("upgraded-configuration", "1");
    is("disabled", "disabled inactive");
    is("removed", " kept");
    is("hers-stays", "kept");
    is("left", "");
}

/// Packs what cargo has built beside this test, into a directory that it makes.
fn pack(directory: &Path, change: impl FnOnce(&mut Command)) -> PathBuf {
    fs::create_dir(directory).expect("made");
    let mut command = Command::new(root().join("packaging/deb.sh"));
    command.arg(directory).env("OBNOVA_PROGRAMS", programs()).env("OBNOVA_COMPRESSION", "none");
    change(&mut command);
    let output = command.output().expect("deb.sh runs");
    assert!(output.status.success(), "deb.sh: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let mut made = fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").path());
    made.next().expect("a package")
}

/// The same package under an older version.
fn older(package: &Path, directory: &Path) {
    let content = directory.with_extension("content");
    fs::create_dir(directory).expect("made");
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&content));
    let control = content.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("read");
    let aged = text.replace(&format!("Version: {}\n", env!("CARGO_PKG_VERSION")), "Version: 0.0.9\n");
    assert_ne!(text, aged);
    fs::write(&control, aged).expect("written");
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(&content).arg(directory));
    fs::remove_dir_all(&content).expect("removed");
}

fn run(command: &mut Command) {
    let output = command.output().expect("dpkg-deb runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace")
}
