//! Core reaches no clock, file, network, environment, process or thread: read from its syntax, beside `crates/core/clippy.toml`,
//! which holds the same from resolved names.

use super::{Source, attributes_of, hold, is_test, production_below};
use syn::visit::{self, Visit};

/// Paths (and all below them) that core never names.
const FORBIDDEN: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os::fd",
    "std::os::linux",
    "std::os::unix::fs",
    "std::os::unix::io",
    "std::os::unix::net",
    "std::os::unix::process",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];

/// Names that are a clock wherever they come from.
const CLOCKS: &[&str] = &["SystemTime", "Instant", "Local"];

#[test]
fn core_reaches_nothing_outside() {
    let findings: Vec<String> = production_below("crates/core/src").iter().flat_map(impurities).collect();
    hold(&findings, "core is pure, but names");
}

#[test]
fn each_way_out_is_seen() {
    let found = |text: &str| impurities(&Source::parse("x.rs", text));
    for bad in [
        "use std::fs;",
        "use std::{collections::BTreeMap, fs::read};",
        "use std::{self as s};",
        "use std as s;",
        "use std::*;",
        "use std::time::*;",
        "use ::std::net::IpAddr;",
        "use std::time::{Duration, SystemTime};",
        "use chrono::Utc as U;",
        "use chrono::Local;",
        "fn f() { std::env::var(\"A\"); }",
        "fn f() -> i64 { chrono::Utc::now().timestamp() }",
        "fn f() { x509_parser::time::ASN1Time::now(); }",
        "fn f(_: std::time::Instant) {}",
        "fn f() { assert!(std::path::Path::new(\"a\").is_dir(), \"{:?}\", std::env::args()); }",
        "fn f() { let later = chrono::Utc::now; }",
        "async fn f() { tokio::task::yield_now().await; }",
        "struct S { child: std::process::Child }",
        "use std::time;",
        "mod inner { fn f() { std::thread::yield_now(); } }",
        "use std::os::unix;",
        "use std::os::unix::net::UnixStream;",
        "extern crate std as s;",
        "extern crate tokio;",
    ] {
        assert_ne!(found(bad), Vec::<String>::new(), "not seen: {bad}");
    }
    for good in [
        "use std::time::Duration;",
        "use std::collections::*;",
        "use chrono::{DateTime, Utc};",
        "fn f(now: DateTime<Utc>) -> bool { schedule::due(now) }",
        "use std::path::PathBuf;",
        "use std::os::unix::ffi::OsStrExt;",
        "#[cfg(test)] mod tests { use std::fs; }",
        "#[test] fn f() { std::fs::read(\"a\").expect(\"b\"); }",
        "/// Like std::fs.\nfn f() {}",
        "impl S { #[cfg(test)] fn f() { std::fs::read(\"a\"); } }",
    ] {
        assert_eq!(found(good), Vec::<String>::new(), "{good}");
    }
}

fn impurities(source: &Source) -> Vec<String> {
    let mut search = Search { file: &source.path, found: Vec::new() };
    search.visit_file(&source.syntax);
    search.found
}

struct Search<'a> {
    file: &'a str,
    found: Vec<String>,
}

impl Search<'_> {
    fn report(&mut self, what: &str) {
        self.found.push(format!("{}: {what}", self.file));
    }

    /// `path` is `a::b::c`, complete from the root of a crate or relative.
    fn judge(&mut self, path: &str) {
        // `use std::os::unix;` would make `unix::net` of what follows: naming what stands above a forbidden path counts, too.
        let below = |forbidden: &str| path == forbidden || path.starts_with(&format!("{forbidden}::"));
        let above = |forbidden: &str| path.contains("::") && forbidden.starts_with(&format!("{path}::"));
        let clock = path.split("::").any(|name| CLOCKS.contains(&name)) || path.ends_with("::now");
        if clock || FORBIDDEN.iter().any(|forbidden| below(forbidden) || above(forbidden)) {
            self.report(path);
        }
    }

    fn judge_use(&mut self, prefix: &str, tree: &syn::UseTree) {
        let join = |name: &syn::Ident| match (prefix, name.to_string().as_str()) {
            (_, "self") => prefix.to_owned(),
            ("", name) => name.to_owned(),
            (_, name) => format!("{prefix}::{name}"),
        };
        match tree {
            syn::UseTree::Path(path) => self.judge_use(&join(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.judge_use(prefix, tree)),
            syn::UseTree::Name(name) => self.judge(&join(&name.ident)),
            syn::UseTree::Rename(rename) => {
                let path = join(&rename.ident);
                // Under another name, what follows could not be recognised.
                if matches!(path.as_str(), "std" | "std::time" | "chrono" | "chrono::Utc") {
                    self.report(&format!("{path} as {}", rename.rename));
                }
                self.judge(&path);
            }
            syn::UseTree::Glob(_) => {
                if matches!(prefix, "std" | "std::time") {
                    self.report(&format!("{prefix}::*"));
                }
                self.judge(prefix);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.judge_use("", &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.report(&format!("extern crate {}", item.ident));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.judge(&names.join("::"));
        visit::visit_path(self, path);
    }

    // The inside of a macro is not parsed: its text must do.
    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        let inside = invocation.tokens.to_string().replace(' ', "");
        let clocks = CLOCKS.iter().map(|clock| format!("{clock}::"));
        for outside in FORBIDDEN.iter().map(|path| format!("{path}::")).chain(clocks).chain(["::now(".to_owned()]) {
            if inside.contains(&outside) {
                self.report(&format!("{outside} inside a macro"));
            }
        }
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
