//! `make install` as systemd sees it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Everything that is installed, relative to the prefix, with its mode.
const INSTALLED: &[(&str, u32)] = &[
    ("bin/obnova", 0o755),
    ("bin/obnova-tray", 0o755),
    ("bin/obnovad", 0o755),
    ("lib/systemd/system/obnovad.service", 0o644),
    ("lib/systemd/user/obnova-tray.service", 0o644),
    ("lib/systemd/user/obnovad.service", 0o644),
    ("lib/sysusers.d/obnova.conf", 0o644),
    ("libexec/obnova/obnova-helper", 0o755),
    ("libexec/obnova/obnova-courier", 0o755),
    ("share/bash-completion/completions/obnova", 0o644),
    ("share/dbus-1/services/org.obnova.Daemon1.service", 0o644),
    ("share/dbus-1/system-services/org.obnova.Daemon1.service", 0o644),
    ("share/dbus-1/system.d/org.obnova.Daemon1.conf", 0o644),
    ("share/doc/obnova/CHANGELOG.md", 0o644),
    ("share/doc/obnova/LICENSE-APACHE", 0o644),
    ("share/doc/obnova/LICENSE-MIT", 0o644),
    ("share/doc/obnova/README.md", 0o644),
    ("share/doc/obnova/notify.d/README", 0o644),
    ("share/doc/obnova/notify.d/mail.example", 0o644),
    ("share/doc/obnova/notify.d/webhook.example", 0o644),
    ("share/doc/obnova/obnova.toml", 0o644),
    ("share/doc/obnova/programmes/est.toml", 0o644),
    ("share/doc/obnova/programmes/signed-mail.toml", 0o644),
    ("share/doc/obnova/programmes/signed-request.toml", 0o644),
    ("share/doc/obnova/programmes/web.toml", 0o644),
    ("share/fish/vendor_completions.d/obnova.fish", 0o644),
    ("share/icons/hicolor/scalable/apps/obnova.svg", 0o644),
    ("share/man/man1/obnova-tray.1", 0o644),
    ("share/man/man8/obnovad.8", 0o644),
    ("share/polkit-1/actions/org.obnova.policy", 0o644),
    ("share/polkit-1/rules.d/org.obnova.rules", 0o644),
    ("share/zsh/site-functions/_obnova", 0o644),
];

/// The man pages, one for each verb: those that are kept.
fn man_pages() -> Vec<String> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man");
    let pages = fs::read_dir(kept).expect("packaging/man").map(|page| page.expect("an entry").file_name());
    pages.map(|page| format!("share/man/man1/{}", page.to_string_lossy())).collect()
}

#[test]
fn everything_lands_below_destdir_and_names_the_prefix() {
    let staging = TempDir::new().expect("a temporary directory");
    install(staging.path(), "/opt/obnova");
    let prefix = staging.path().join("opt/obnova");
    let mut found = BTreeSet::new();
    files(staging.path(), &mut found);
    let mut expected: BTreeSet<_> = INSTALLED.iter().map(|(path, mode)| (prefix.join(path), *mode)).collect();
    expected.extend(man_pages().into_iter().map(|page| (prefix.join(page), 0o644)));
    assert_eq!(found, expected);

    for (file, line) in [
        ("lib/systemd/user/obnovad.service", "ExecStart=/opt/obnova/bin/obnovad"),
        ("lib/systemd/user/obnova-tray.service", "ExecStart=/opt/obnova/bin/obnova-tray"),
        ("lib/systemd/system/obnovad.service", "ExecStart=/opt/obnova/bin/obnovad --system"),
        ("share/dbus-1/services/org.obnova.Daemon1.service", "Exec=/opt/obnova/bin/obnovad"),
        ("share/dbus-1/system-services/org.obnova.Daemon1.service", "Exec=/opt/obnova/bin/obnovad --system"),
    ] {
        let text = fs::read_to_string(prefix.join(file)).expect("an installed text");
        assert!(text.lines().any(|present| present == line), "{file} lacks {line}:\n{text}");
        assert!(!text.contains("/usr/bin"), "{file} still names /usr/bin");
    }
}

#[test]
fn the_pages_name_every_option() {
    for (program, page) in [("obnovad", "obnovad.8"), ("obnova-tray", "obnova-tray.1")] {
        let help = Command::new(programs().join(program)).arg("--help").output().expect("it runs").stdout;
        let help = String::from_utf8(help).expect("UTF-8");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/pages").join(page);
        let page = fs::read_to_string(page).expect("a page").replace('\\', "");
        let options: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(options.len() > 2, "{help}");
        for option in options {
            assert!(page.contains(option), "{program} {option}");
        }
    }
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let directory = TempDir::new().expect("a temporary directory");
    let prefix = directory.path().join("prefix");
    install(Path::new(""), prefix.to_str().expect("a plain path"));
    for (scope, names) in [("user", ["obnovad.service", "obnova-tray.service"].as_slice()), ("system", &["obnovad.service"])] {
        let units: Vec<PathBuf> = names.iter().map(|name| prefix.join("lib/systemd").join(scope).join(name)).collect();
        assert_eq!(verify(scope, &units, directory.path()), "");

        // Its exit status does not tell: so that silence means something, a misspelt key must make it speak.
        let misspelt = fs::read_to_string(&units[0]).expect("the unit").replace("LockPersonality=", "LockPersonalty=");
        fs::write(&units[0], misspelt).expect("a writable unit");
        assert!(verify(scope, &units, directory.path()).contains("LockPersonalty"));
    }
}

#[test]
fn the_system_unit_is_exposed_to_little() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("systemd/system/obnovad.service");
    let looked = |threshold: &str| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--no-pager", "--threshold", threshold]).arg(&unit);
        let output = command.output().expect("systemd-analyze runs (Debian package systemd)");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // In tenths: the exposure that systemd reckons, of 10.0.
    let (passed, said) = looked("15");
    assert!(passed, "{said}");
    assert!(!looked("1").0, "the threshold means something");
}

pub(super) fn install(destdir: &Path, prefix: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace");
    let status = Command::new(root.join("packaging/install.sh"))
        .env("DESTDIR", destdir)
        .env("PREFIX", prefix)
        .env("OBNOVA_PROGRAMS", programs())
        .status()
        .expect("install.sh runs");
    assert!(status.success(), "install.sh: {status}");
}

/// Where cargo put the workspace's programs: this test's own is in `deps` below it.
pub(super) fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    own.ancestors().nth(2).expect("a target directory").to_owned()
}

fn verify(scope: &str, units: &[PathBuf], runtime: &Path) -> String {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", &format!("--{scope}")])
        .args(units)
        .env("XDG_RUNTIME_DIR", runtime)
        .output()
        .expect("systemd-analyze runs (Debian package systemd)");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

fn files(directory: &Path, found: &mut BTreeSet<(PathBuf, u32)>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a directory entry").path();
        let status = fs::symlink_metadata(&path).expect("the file's status");
        if status.is_dir() {
            files(&path, found);
        } else {
            found.insert((path, status.permissions().mode() & 0o7777));
        }
    }
}
