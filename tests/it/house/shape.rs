//! The shape of source files and of the members' lint tables.

use super::{Source, hold, read, sources_below};
use syn::visit::{self, Visit};

const MEMBERS: &[&str] =
    &["crates/core", "crates/api", "crates/secret", "crates/text", "crates/pcsc-sys", "daemon", "cli", "tray", "tests"];

/// The members with `unsafe`: they repeat the lint table with `deny`, which `#[expect]` can lift where `forbid` cannot be.
const UNSAFE_MEMBERS: &[&str] = &["crates/secret", "crates/pcsc-sys"];

/// Size is a smell: above this a file has become two.
const LONGEST: usize = 600;

#[test]
fn files_are_of_one_shape() {
    let findings: Vec<String> =
        MEMBERS.iter().flat_map(|member| sources_below(member)).flat_map(|source| misshapes(&source)).collect();
    hold(&findings, "source files");
}

#[test]
fn every_member_is_known() {
    let workspace: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    assert_eq!(members.iter().map(|member| member.as_str().expect("a path")).collect::<Vec<_>>(), MEMBERS);
}

#[test]
fn every_member_has_the_lints() {
    let workspace: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let common = workspace["workspace"]["lints"].as_table().expect("a lint table");
    let findings: Vec<String> = MEMBERS
        .iter()
        .filter_map(|member| {
            let manifest = read(format!("{member}/Cargo.toml")).parse().expect("Cargo.toml is TOML");
            lint_gap(common, member, &manifest)
        })
        .collect();
    hold(&findings, "lint tables");
}

#[test]
fn each_rule_can_fail() {
    let found = |path: &str, text: &str| misshapes(&Source::parse(path, text));
    assert_eq!(found("daemon/src/a.rs", "fn f() {}"), ["daemon/src/a.rs has no `//!` header"]);
    assert_eq!(
        found("daemon/src/a.rs", "//! A.\n#[allow(dead_code)] fn f() {}"),
        ["daemon/src/a.rs: `allow` where `expect` with a reason belongs"]
    );
    assert_eq!(
        found("daemon/src/a.rs", "//! A.\n#![allow(dead_code)]"),
        ["daemon/src/a.rs: `allow` where `expect` with a reason belongs"]
    );
    assert_eq!(
        found("daemon/src/a.rs", "//! A.\n#[cfg_attr(test, allow(x))] fn f() {}"),
        ["daemon/src/a.rs: `allow` where `expect` with a reason belongs"]
    );
    assert_eq!(found("daemon/src/a.rs", "//! A.\nfn f() { todo!() }"), ["daemon/src/a.rs: `todo!`"]);
    assert_eq!(found("tests/it/a.rs", "fn f() { g(unimplemented!()) }"), ["tests/it/a.rs: `unimplemented!`"]);
    assert_eq!(found("tests/it/a.rs", "#[test] #[ignore] fn f() {}"), ["tests/it/a.rs: an ignored test"]);
    assert_eq!(found("tests/it/a.rs", &"\n".repeat(601)), ["tests/it/a.rs has 601 lines, more than 600"]);
    assert_eq!(found("daemon/src/a.rs", "//! A.\nfn f() { todo(); }"), Vec::<String>::new());
    assert_eq!(found("daemon/tests/a.rs", ""), Vec::<String>::new());
    assert_eq!(found("daemon/src/a/tests.rs", ""), Vec::<String>::new());

    let table = |text: &str| text.parse::<toml::Table>().expect("TOML");
    let common = table("rust.unsafe_code = \"forbid\"\nclippy.unwrap_used = \"warn\"");
    assert_eq!(lint_gap(&common, "cli", &table("lints.workspace = true")), None);
    assert!(lint_gap(&common, "cli", &table("package.name = \"x\"")).is_some());
    assert!(lint_gap(&common, "cli", &table("lints.rust.unsafe_code = \"allow\"")).is_some());
    let member = UNSAFE_MEMBERS[0];
    assert!(lint_gap(&common, member, &table("lints.rust.unsafe_code = \"deny\"")).is_some(), "clippy's half is missing");
    assert_eq!(
        lint_gap(&common, member, &table("lints.rust.unsafe_code = \"deny\"\nlints.clippy.unwrap_used = \"warn\"")),
        None
    );
    assert!(
        lint_gap(&common, member, &table("lints.rust.unsafe_code = \"allow\"\nlints.clippy.unwrap_used = \"warn\"")).is_some()
    );
    assert!(lint_gap(&table("rust.unsafe_code = \"warn\""), "cli", &table("lints.workspace = true")).is_some());
}

fn misshapes(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let of_tests = source.path.starts_with("tests/") || source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
    if !of_tests && !source.text.starts_with("//!") {
        findings.push(format!("{} has no `//!` header", source.path));
    }
    let lines = source.text.lines().count();
    if lines > LONGEST {
        findings.push(format!("{} has {lines} lines, more than {LONGEST}", source.path));
    }
    let mut search = Search { file: &source.path, found: Vec::new() };
    search.visit_file(&source.syntax);
    findings.extend(search.found);
    findings
}

struct Search<'a> {
    file: &'a str,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let conditional = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg_attr") => {
                list.tokens.to_string().replace(' ', "").contains(",allow(")
            }
            _ => false,
        };
        if conditional || attribute.path().is_ident("allow") {
            self.found.push(format!("{}: `allow` where `expect` with a reason belongs", self.file));
        }
        if attribute.path().is_ident("ignore") {
            self.found.push(format!("{}: an ignored test", self.file));
        }
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        for unfinished in ["todo", "unimplemented"] {
            if invocation.path.segments.last().is_some_and(|last| last.ident == unfinished) {
                self.found.push(format!("{}: `{unfinished}!`", self.file));
            }
        }
        visit::visit_macro(self, invocation);
    }
}

/// What a member's manifest lacks of the common lint table, if anything.
fn lint_gap(common: &toml::Table, member: &str, manifest: &toml::Table) -> Option<String> {
    let unsafe_code = |lints: &toml::Table| lints.get("rust")?.get("unsafe_code")?.as_str().map(str::to_owned);
    if unsafe_code(common).as_deref() != Some("forbid") {
        return Some("the workspace does not forbid unsafe code".to_owned());
    }
    let own = manifest.get("lints").and_then(toml::Value::as_table);
    if !UNSAFE_MEMBERS.contains(&member) {
        let inherits = own.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
        return (!inherits).then(|| format!("{member} does not take the workspace's lints"));
    }
    let mut expected = common.clone();
    if let Some(rust) = expected.get_mut("rust").and_then(toml::Value::as_table_mut) {
        rust.insert("unsafe_code".to_owned(), "deny".into());
    }
    let repeated = |(group, lints): (&String, &toml::Value)| {
        let own = own.and_then(|own| own.get(group)).and_then(toml::Value::as_table);
        lints.as_table().is_some_and(|lints| lints.iter().all(|(lint, level)| own.and_then(|own| own.get(lint)) == Some(level)))
    };
    let all = expected.iter().all(repeated);
    (!all).then(|| format!("{member} does not repeat the workspace's lints with `unsafe_code = \"deny\"`"))
}
