//! The command line as a library: every verb over a given connection, writer and clock, so that tests see what a person sees.
//!
//! Owns the contract with scripts (verbs, output, exit codes) and the agent in the terminal. Decides nothing about
//! certificates: all it shows comes from the daemon.

mod agent;
mod arguments;
mod calendar;
pub mod completions;
mod ending;
mod find;
mod moment;
mod place;
mod session;
mod table;
mod verbs;

use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use obnova_text::Text;
use tokio::signal::unix::{SignalKind, signal};

pub use arguments::{CardVerb, Cli, Form, Global, MailVerb, ProgrammeVerb, Shell, Verb};
pub use ending::Ending;

use crate::ending::Failure;
use crate::session::Session;
use crate::verbs::{outward, rehearse};

/// What a run reads and writes besides its arguments.
pub struct Surroundings<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Talk: progress, errors, hints.
    pub err: &'a mut dyn Write,
    /// The sentences.
    pub text: Arc<Text>,
    /// The present moment.
    pub now: DateTime<Utc>,
    /// Data may be coloured.
    pub colour: bool,
    /// The terminal at which a person may be asked, if it can be opened.
    pub terminal: Option<PathBuf>,
    /// The connection to the daemon; without it the bus of the arguments is connected.
    pub connection: Option<zbus::Connection>,
    /// Done when the person wants to leave; awaited only by what stays.
    pub interrupted: Interrupted,
}

/// See [`Surroundings::interrupted`].
pub type Interrupted = Pin<Box<dyn Future<Output = ()>>>;

/// Runs a command line to its end and says how it ended; errors are told on `err`.
pub async fn run(cli: Cli, surroundings: Surroundings<'_>) -> Ending {
    let Cli { global, verb } = cli;
    let Surroundings { out, err, text, now, colour, terminal, connection, interrupted } = surroundings;
    let (system, json) = (global.system, global.json);
    let verb = verb.unwrap_or(Verb::Status);
    let monitored = matches!(verb, Verb::Check);
    let outcome = match verb {
        // These need nobody else.
        Verb::Completions { shell } => outward::register_completions(out, shell),
        verb => {
            // A rehearsal brings its own daemon, which ends with the connection to it.
            let staged = match &verb {
                Verb::Rehearse { programme } if connection.is_none() => rehearse::stage(programme).await.map(Some),
                _ => Ok(None),
            };
            let (mut nowhere, rehearsed) = (rehearse::nowhere(), matches!(verb, Verb::Rehearse { .. }) && !json);
            match staged {
                Ok(staged) => {
                    let (stage, own) = staged.unzip();
                    let ending = match Session::open(global, connection.or(own), terminal).await {
                        Ok(door) => {
                            let text = Arc::clone(&text);
                            let out: &mut dyn Write = if rehearsed { &mut nowhere } else { &mut *out };
                            let mut session = Session { door, text, now, colour, out, err: &mut *err, interrupted };
                            let ending = verbs::run(&mut session, verb).await;
                            if stage.is_some() {
                                // Here it ends: all that held it is gone with the session.
                                let closed = session.door.connection.clone().close().await;
                                ending.and_then(|ending| closed.map(|()| ending).map_err(Failure::from))
                            } else {
                                ending
                            }
                        }
                        Err(failure) => Err(failure),
                    };
                    drop(stage);
                    ending
                }
                Err(failure) => Err(failure),
            }
        }
    };
    let outcome = outcome.and_then(|ending| {
        out.flush()?;
        Ok(ending)
    });
    let outcome = match outcome {
        Err(failure) if monitored && !matches!(failure, Failure::Output(_)) => {
            outward::unknown(out, &session::advice(&text, &failure, system).sentence, json)
        }
        outcome => outcome,
    };
    outcome.unwrap_or_else(|failure| {
        // What was found before the failure is data, too; and where nothing can be written, nobody can be told.
        let told = out.flush().and_then(|()| session::tell_failure(err, &text, &failure, system));
        if let Err(error) = told { Failure::from(error).ending() } else { failure.ending() }
    })
}

/// Done when a signal asks this process to leave: Ctrl-C, hang-up or termination.
pub async fn signalled() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let waiting: Vec<_> = kinds
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .map(|mut signal| Box::pin(async move { signal.recv().await }))
        .collect();
    if waiting.is_empty() {
        std::future::pending::<()>().await;
    }
    futures_util::future::select_all(waiting).await;
}
