//! What speaks with the network and opens mails runs in obnova-courier alone: whoever breaks one of those libraries has not broken into
//! the daemon, which does not even have them in its memory.

use super::{Source, attributes_of, hold, is_test, production_below};
use syn::visit::{self, Visit};

/// The rooms whose code runs in the courier.
const ROOMS: &[&str] = &["daemon/src/mail", "daemon/src/network", "daemon/src/bin/obnova-courier"];

/// Crates that speak with strangers or read what they send.
const LIBRARIES: &[&str] = &[
    "reqwest",
    "rustls",
    "mail_auth",
    "mail_parser",
    "hickory_resolver",
    "async_imap",
    "tokio_rustls",
    "rustls_platform_verifier",
];

/// What in those rooms does the work.
const WORK: &[[&str; 2]] = &[
    ["mail", "read"],
    ["mail", "Resolver"],
    ["mail", "imap"],
    ["network", "ask"],
    ["network", "fetch"],
    ["network", "dispatch"],
];

#[test]
fn the_daemon_leaves_strangers_to_the_courier() {
    let others =
        production_below("daemon/src").into_iter().filter(|source| !ROOMS.iter().any(|room| source.path.starts_with(room)));
    let findings: Vec<String> = others.flat_map(|source| strangers(&source)).collect();
    hold(&findings, "the courier's work outside of the courier");
}

#[test]
fn each_way_to_a_stranger_is_seen() {
    let found = |text: &str| strangers(&Source::parse("x.rs", text));
    for bad in [
        "use reqwest::Client;",
        "fn f() { rustls::ClientConfig::builder(); }",
        "use crate::mail::{LONGEST, read};",
        "use crate::mail::Resolver;",
        "use crate::mail::imap;",
        "use async_imap::Session;",
        "async fn f() { crate::network::ask(call).await; }",
        "async fn f() { crate::network::fetch(source).await; }",
    ] {
        assert_eq!(found(bad).len(), 1, "{bad}");
    }
    for good in
        ["use crate::mail::LONGEST;", "use obnova_core::mail::Facts;", "#[cfg(test)] mod tests { use reqwest::Client; }"]
    {
        assert_eq!(found(good), [""; 0], "{good}");
    }
}

fn strangers(source: &Source) -> Vec<String> {
    let mut finder = Finder { path: &source.path, found: Vec::new() };
    finder.visit_file(&source.syntax);
    finder.found
}

struct Finder<'source> {
    path: &'source str,
    found: Vec<String>,
}

impl Finder<'_> {
    fn look(&mut self, names: &[String]) {
        let is = |name: &str, other: &str| name == other;
        let library = names.first().is_some_and(|first| LIBRARIES.contains(&first.as_str()));
        let work = names.windows(2).any(|pair| WORK.iter().any(|[room, work]| is(&pair[0], room) && is(&pair[1], work)));
        if library || work {
            self.found.push(format!("{}: {}", self.path, names.join("::")));
        }
    }

    fn look_into(&mut self, tree: &syn::UseTree, above: &[String]) {
        let with = |name: &syn::Ident| [above, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.look_into(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.look(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.look(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.look(above),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.look_into(tree, above)),
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.look_into(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.look(&names);
        visit::visit_path(self, path);
    }
}
