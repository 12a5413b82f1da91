//! Holds the house rules that no compiler holds: who may depend on whom, that core is pure, that people's sentences live in
//! one crate, and the shape of source files. Each rule is a function from sources to findings, and is shown a source that breaks it.

mod arrows;
mod outside;
mod purity;
mod sentences;
mod shape;

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file of the workspace.
struct Source {
    /// Relative to the workspace's root, with `/`.
    path: String,
    text: String,
    syntax: syn::File,
}

impl Source {
    fn parse(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
        Self { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// The files in which an outlined `mod name;` of this file may stand.
    fn outlined(&self, name: &str) -> [String; 2] {
        let path = Path::new(&self.path);
        let parent = path.parent().expect("a file has a directory");
        let directory = match path.file_stem().and_then(|stem| stem.to_str()).expect("Rust files have plain names") {
            "lib" | "main" | "mod" => parent.to_owned(),
            stem => parent.join(stem),
        };
        [format!("{name}.rs"), format!("{name}/mod.rs")].map(|file| directory.join(file).to_string_lossy().into_owned())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a directory of the workspace, in a stable order.
fn sources_below(directory: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(directory), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no Rust files below {directory}: the rule would hold nothing");
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(root()).expect("found below the root").to_string_lossy().into_owned();
            Source::parse(&relative, &read(&path))
        })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The same without test code that stands in files of its own (`#[cfg(test)] mod tests;` and what hangs below it).
fn production_below(directory: &str) -> Vec<Source> {
    without_test_files(sources_below(directory))
}

fn without_test_files(sources: Vec<Source>) -> Vec<Source> {
    let mut excluded: Vec<String> = Vec::new();
    for source in &sources {
        for item in &source.syntax.items {
            if let syn::Item::Mod(module) = item
                && module.content.is_none()
                && is_test(&module.attrs)
            {
                excluded.extend(source.outlined(&module.ident.to_string()));
            }
        }
    }
    let below: Vec<String> =
        excluded.iter().map(|path| path.trim_end_matches("/mod.rs").trim_end_matches(".rs").to_owned() + "/").collect();
    let kept =
        |source: &Source| !excluded.contains(&source.path) && !below.iter().any(|prefix| source.path.starts_with(prefix));
    sources.into_iter().filter(kept).collect()
}

/// Whether an item is compiled for tests alone: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[tokio::test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        meta => meta.path().segments.last().is_some_and(|last| last.ident == "test"),
    })
}

/// The attributes of any item, where it can have some.
fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn hold(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

#[test]
fn test_code_in_files_of_its_own_is_told_apart() {
    let sources = vec![
        Source::parse("crates/x/src/lib.rs", "mod a; #[cfg(test)] mod tests;"),
        Source::parse("crates/x/src/a.rs", "#[cfg(test)] mod trial;"),
        Source::parse("crates/x/src/a/trial.rs", ""),
        Source::parse("crates/x/src/a/trial/more.rs", ""),
        Source::parse("crates/x/src/tests.rs", ""),
    ];
    let kept: Vec<String> = without_test_files(sources).into_iter().map(|source| source.path).collect();
    assert_eq!(kept, ["crates/x/src/lib.rs", "crates/x/src/a.rs"]);
}
