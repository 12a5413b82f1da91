//! The command line as a person and a script see it, over a daemon in the tests' own hands: output, exit codes, questions.

mod cards;
mod daemon;
mod looking;
mod outward;
mod renewing;
mod strangers;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Utc};
use obnova::{Cli, Ending, Surroundings};
use obnova_text::Text;
use zbus::Connection;

pub(crate) use daemon::Daemon;

/// How a run ended, and all that it wrote.
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// All of it, as snapshots keep it.
    pub(crate) fn shown(&self) -> String {
        format!("exit {}\n--- out\n{}--- err\n{}", self.ending as u8, self.out, self.err)
    }
}

/// Runs a command line over a connection, at a fixed time in a fixed zone, with nobody to ask.
pub(crate) async fn run(connection: &Connection, line: &str) -> Outcome {
    run_at(connection, line, None, Box::pin(std::future::pending())).await
}

/// The same, with a terminal, and somebody who may want to leave.
async fn run_at(
    connection: &Connection,
    line: &str,
    terminal: Option<PathBuf>,
    interrupted: Pin<Box<dyn Future<Output = ()>>>,
) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::read(words(line), &text()).unwrap_or_else(|error| panic!("{line}: {error}"));
    let surroundings = Surroundings {
        out: &mut out,
        err: &mut err,
        text: Arc::new(text()),
        now: now(),
        colour: false,
        terminal,
        connection: Some(connection.clone()),
        interrupted,
    };
    let ending = obnova::run(cli, surroundings).await;
    let utf8 = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Outcome { ending, out: utf8(out), err: utf8(err) }
}

/// The words of a command line; apostrophes keep one together.
fn words(line: &str) -> Vec<OsString> {
    let quoted = line.split('\'').enumerate().flat_map(|(index, part)| -> Vec<OsString> {
        if index % 2 == 1 { vec![part.into()] } else { part.split_whitespace().map(Into::into).collect() }
    });
    std::iter::once("obnova".into()).chain(quoted).collect()
}

fn text() -> Text {
    Text::for_environment("en").in_zone(FixedOffset::east_opt(3600).expect("an offset"))
}

fn now() -> DateTime<Utc> {
    "2026-10-21T08:00:00Z".parse().expect("an instant")
}
