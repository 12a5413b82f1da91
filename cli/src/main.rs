//! The program `obnova`: reads its surroundings, runs, and turns the outcome into an exit code.

use std::io::{BufWriter, IsTerminal, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use obnova::{Cli, Ending, Surroundings};
use obnova_text::Text;

/// How much output is kept before it is written: a long list is a few system calls.
const BUFFER: usize = 64 * 1024;

fn main() -> ExitCode {
    let text = Arc::new(Text::for_environment(&locale()));
    obnova::completions::answer(|| Cli::explained(&text));
    let cli = match Cli::read(std::env::args_os(), &text) {
        Ok(cli) => cli,
        Err(error) => {
            // A monitoring system reads a wrong command line as everything that it does not understand.
            let monitored = std::env::args_os().nth(1).is_some_and(|verb| verb == "check");
            let mistake = if monitored { Ending::NeedsPerson } else { Ending::Usage };
            // Help goes to standard output and mistakes to standard error; where neither can be written, nobody reads.
            let told = error.print().is_ok();
            return if told && error.exit_code() == 0 { Ending::Done.into() } else { mistake.into() };
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Ending::Failed.into();
    };
    let mut out = BufWriter::with_capacity(BUFFER, stdout().lock());
    let mut err = stderr();
    let ending = runtime.block_on(obnova::run(
        cli,
        Surroundings {
            out: &mut out,
            err: &mut err,
            text,
            now: chrono::Utc::now(),
            colour: colour(),
            terminal: Some("/dev/tty".into()),
            connection: None,
            interrupted: Box::pin(obnova::signalled()),
        },
    ));
    // A thread may still wait for answers that nobody writes any more.
    runtime.shutdown_background();
    ending.into()
}

/// Whether data may be coloured: a person reads it who has not said no (<https://no-color.org>), at a terminal that can.
fn colour() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// The locale whose language messages are in, by the order that POSIX gives (Base Definitions, 8.2).
fn locale() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default()
}
