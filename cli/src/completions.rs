//! Completing command lines: the shell asks this program, which answers with verbs, options, and the names of what there is.
//!
//! `obnova completions SHELL` prints what a shell has to run once; from then on it calls `obnova` with the variable `COMPLETE`.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use obnova_api::{ItemView, ManagerProxy, PAGE};
use zbus::connection::Builder;
use zbus::proxy::CacheProperties;

use crate::arguments::Shell;
use crate::session::dictionary;

/// How long a shell waits for names at most: completing must never hang.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The most names that are offered.
const MOST: usize = 10 * PAGE as usize;

/// The variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";

/// The name of the program in what shells are told.
const PROGRAM: &str = "obnova";

/// What a shell has to run so that it asks this program.
pub(crate) fn registration(shell: Shell) -> io::Result<Vec<u8>> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let known = shells.completer(name).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    known.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    Ok(script)
}

/// Whether it is bash that asks, which puts in what it is given as it is; other shells quote.
static BASH: AtomicBool = AtomicBool::new(false);

/// Answers a shell, if one asks: then this process ends here. `definition`: the command line.
pub fn answer(definition: impl Fn() -> Command) {
    // Looked at now: whoever answers takes the variable out of the environment.
    BASH.store(std::env::var_os(VARIABLE).is_some_and(|shell| shell == "bash"), Ordering::Relaxed);
    CompleteEnv::with_factory(definition).complete();
}

/// An argument that takes what there is, completed by the names of it. `verb`: whose argument it is.
pub(crate) fn completed(arg: Arg, verb: &str) -> Arg {
    let kind = match (verb, arg.get_id().as_str()) {
        (_, "renewal") => "renewal",
        (verb, "id") if verb.starts_with("card") => "card",
        (verb, "id") if verb.starts_with("mail") => "mailbox",
        (_, "id") => "",
        _ => return arg,
    };
    arg.add(ArgValueCandidates::new(move || names(kind)))
}

/// The names of all items of a kind. Nothing where there is no daemon: a shell shows no errors.
fn names(kind: &str) -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asked = async { tokio::time::timeout(PATIENCE, items(kind)).await.ok()?.ok() };
    let items = runtime.block_on(asked).unwrap_or_default();
    runtime.shutdown_background();
    let bash = BASH.load(Ordering::Relaxed);
    // Two of a name are told apart by their ids.
    let several = |item: &ItemView| items.iter().filter(|other| other.name == item.name).count() > 1;
    let candidate = |item: &ItemView| {
        let (word, note) = if several(item) { (&item.id, &item.name) } else { (&item.name, &item.state) };
        CompletionCandidate::new(if bash { escaped(word) } else { word.clone() }).help(Some(note.clone().into()))
    };
    items.iter().map(candidate).collect()
}

/// A word as bash takes it without quotes.
fn escaped(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "@%_+=:,./-".contains(letter);
    let mut escaped = String::with_capacity(word.len());
    for letter in word.chars().filter(|letter| !letter.is_control()) {
        if !plain(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

async fn items(kind: &str) -> zbus::Result<Vec<ItemView>> {
    let words: Vec<String> = std::env::args().collect();
    let after = |option: &str| words.iter().skip_while(|word| *word != option).nth(1);
    let builder = match after("--bus") {
        Some(address) => Builder::address(address.as_str())?,
        None if words.iter().any(|word| word == "--system") => Builder::system()?,
        None => Builder::session()?,
    };
    let connection = builder.build().await?;
    let manager = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let filter = if kind.is_empty() { dictionary([]) } else { dictionary([("kind", kind.to_owned().into())]) };
        let page = manager.items(filter.unwrap_or_default(), &from, PAGE).await;
        let (items, next) = page.map_err(|error| zbus::Error::Failure(error.to_string()))?;
        all.extend(items);
        if next.is_empty() || all.len() >= MOST {
            return Ok(all);
        }
        from = next;
    }
}
