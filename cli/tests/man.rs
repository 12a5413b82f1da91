//! The man pages in `packaging/man` are those of the command line's definition. `UPDATE=1` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap_mangen::Man;
use obnova::Cli;
use obnova_text::Text;

#[test]
fn the_man_pages_are_those_of_the_definition() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man");
    let mut pages = BTreeMap::new();
    let command = Cli::explained(&Text::for_environment("en")).disable_help_subcommand(true);
    render(command, "obnova", &mut pages);
    assert!(pages.len() > 20, "a page for each verb");
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&directory).expect("a directory");
        for entry in fs::read_dir(&directory).expect("a directory") {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
        for (name, page) in &pages {
            fs::write(directory.join(name), page).expect("written");
        }
    }
    let kept = fs::read_dir(&directory).expect("packaging/man").map(|entry| entry.expect("an entry").path());
    let kept: BTreeMap<String, Vec<u8>> = kept
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("read")))
        .collect();
    let names = |pages: &BTreeMap<String, Vec<u8>>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&pages), "UPDATE=1 cargo test -p obnova --test man writes them");
    for (name, page) in &pages {
        assert!(kept[name] == *page, "{name} is not what the definition says; UPDATE=1 cargo test -p obnova --test man");
    }
}

/// The page of a command and those of its verbs.
fn render(command: clap::Command, name: &str, pages: &mut BTreeMap<String, Vec<u8>>) {
    let name_of_page: &'static str = name.replace(' ', "-").leak();
    for verb in command.get_subcommands() {
        render(verb.clone().disable_help_subcommand(true), &format!("{name} {}", verb.get_name()), pages);
    }
    let command = command.name(name_of_page).bin_name(name).display_name(name_of_page);
    // Without version or date, the page changes only with the definition.
    let man = Man::new(command).title(name_of_page.to_uppercase()).source("Obnova").manual("Obnova").date("");
    let mut page = Vec::new();
    man.render(&mut page).expect("rendered");
    pages.insert(format!("{name_of_page}.1"), page);
}
