//! The dependency arrows between the members, what core may never reach through others, and versions that must not move.

use super::{hold, read};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Who may depend on which member, as `ARCHITECTURE.md` draws it. The tests see all.
const ARROWS: &[(&str, &[&str])] = &[
    ("obnova-core", &[]),
    ("obnova-api", &[]),
    ("obnova-secret", &[]),
    ("pcsc-sys", &[]),
    ("obnova-text", &["obnova-api"]),
    ("obnovad", &["obnova-core", "obnova-api", "obnova-secret", "obnova-text"]),
    ("obnova", &["obnova-api", "obnova-secret", "obnova-text"]),
    ("obnova-tray", &["obnova-api", "obnova-secret", "obnova-text"]),
];

/// Crates that do input, output or scheduling: nothing below core may bring one.
const IMPURE: &[&str] = &[
    "tokio",
    "async-io",
    "mio",
    "zbus",
    "rusqlite",
    "libsqlite3-sys",
    "reqwest",
    "hyper",
    "openssl",
    "openssl-sys",
    "rustix",
    "notify",
];

/// Programs that must not bring what belongs to another process.
const APART: &[(&str, &[&str])] = &[
    ("obnova", &["gtk4", "pcsc", "cryptoki", "openssl", "rusqlite", "tray-icon"]),
    ("obnova-tray", &["gtk", "pcsc", "cryptoki", "openssl", "rusqlite"]),
    ("obnovad", &["gtk4", "tray-icon", "notify-rust"]),
];

#[test]
fn members_depend_only_along_the_arrows() {
    hold(&against_arrows(&direct_dependencies()), "dependencies against the arrows");
}

#[test]
fn core_brings_no_runtime_bus_or_database() {
    let direct = direct_dependencies();
    let lock = Lock::parse(&read("Cargo.lock"));
    hold(&reached(&lock, &direct["obnova-core"], IMPURE), "core must stay pure, but reaches");
}

#[test]
fn programs_link_only_what_is_theirs() {
    let direct = direct_dependencies();
    let lock = Lock::parse(&read("Cargo.lock"));
    for (program, apart) in APART {
        // The helper, in the daemon's package, is the one program that links OpenSSL and loads PKCS#11 modules; a test of its own
        // looks into the two programs and tells them apart.
        hold(&reached(&lock, &direct[*program], apart), &format!("{program} brings what belongs to another process"));
    }
}

/// From 1.7.0 on, `blocking` wakes twice a second for ever.
#[test]
fn blocking_stays_where_it_sleeps() {
    assert_eq!(Lock::parse(&read("Cargo.lock")).versions("blocking"), ["1.6.2"]);
}

#[test]
fn each_rule_can_fail() {
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let bad = BTreeMap::from([
        ("obnova-core".to_owned(), names(&["obnova-api", "serde"])),
        ("obnova-text".to_owned(), names(&["obnova-api"])),
        ("obnova-new".to_owned(), names(&[])),
    ]);
    assert_eq!(against_arrows(&bad), ["obnova-core → obnova-api", "obnova-new has no arrows in this test"]);

    let lock = Lock::parse(
        "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\ndependencies = [\"deep 2.0.0\"]\n\
         [[package]]\nname = \"deep\"\nversion = \"2.0.0\"\ndependencies = [\"mio\"]\n\
         [[package]]\nname = \"mio\"\nversion = \"1.0.0\"\n",
    );
    assert_eq!(reached(&lock, &names(&["serde"]), IMPURE), ["mio"]);
    assert_eq!(reached(&lock, &names(&["serde"]), &["tokio"]), Vec::<String>::new());
    assert_eq!(lock.versions("deep"), ["2.0.0"]);
    assert_eq!(lock.versions("blocking"), Vec::<String>::new());
}

fn against_arrows(direct: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let members: BTreeSet<&str> = arrows.keys().copied().chain(direct.keys().map(String::as_str)).collect();
    let mut findings = Vec::new();
    for (member, dependencies) in direct.iter().filter(|(member, _)| *member != "obnova-tests") {
        let Some(allowed) = arrows.get(member.as_str()) else {
            findings.push(format!("{member} has no arrows in this test"));
            continue;
        };
        let crossing = dependencies.iter().filter(|name| members.contains(name.as_str()) && !allowed.contains(&name.as_str()));
        findings.extend(crossing.map(|name| format!("{member} → {name}")));
    }
    findings
}

/// What each member's own programs and libraries depend on; for its tests it may use what it likes.
fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(super::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let of_package = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
        dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    packages.iter().map(|package| (text(&package["name"]), of_package(package))).collect()
}

/// `Cargo.lock`: for each package name the versions in the tree, and what any of them needs. It knows no features, so what is reached
/// here is rather too much than too little.
struct Lock(BTreeMap<String, Vec<(String, Vec<String>)>>);

impl Lock {
    fn parse(text: &str) -> Self {
        let lock: toml::Table = text.parse().expect("Cargo.lock is TOML");
        let mut packages: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
        for package in lock["package"].as_array().expect("a list of packages") {
            let text = |key: &str| package[key].as_str().expect("a string").to_owned();
            let named = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
            let needs =
                named.map(|name| name.as_str().expect("a string").split(' ').next().expect("a name").to_owned()).collect();
            packages.entry(text("name")).or_default().push((text("version"), needs));
        }
        Self(packages)
    }

    fn versions(&self, name: &str) -> Vec<&str> {
        self.0.get(name).into_iter().flatten().map(|(version, _)| version.as_str()).collect()
    }
}

/// Which of `unwanted` stands anywhere below `direct`. Members' own dependencies for tests stand in the lock file too, so members
/// are not walked through: each is asked for itself.
fn reached(lock: &Lock, direct: &BTreeSet<String>, unwanted: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = direct.iter().map(String::as_str).filter(|name| !name.starts_with("obnova")).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            let needs = lock.0.get(name).into_iter().flatten().flat_map(|(_, needs)| needs);
            open.extend(needs.map(String::as_str));
        }
    }
    unwanted.iter().filter(|name| seen.contains(*name)).map(|&name| name.to_owned()).collect()
}
