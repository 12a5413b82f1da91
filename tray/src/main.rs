//! The program `obnova-tray`: reads its arguments and its environment, and runs the tray.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use obnova_text::Text;
use obnova_tray::agent::Pinentry;
use obnova_tray::{Options, run};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    let level = variable("OBNOVA_LOG").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).without_time().init();
    if let Err(error) = obnova_secret::process::harden() {
        tracing::error!(%error, "passwords could not be kept from other programs");
        return ExitCode::FAILURE;
    }
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable).unwrap_or_default();
    let options = options(command(&Text::for_environment(&locale)).get_matches(), locale);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(options));
    // A question that is still open has its window closed, and is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, source = error.source(), "ended");
            ExitCode::FAILURE
        }
    }
}

fn command(text: &Text) -> Command {
    Command::new("obnova-tray")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text.say("tray-help", &[]))
        .arg(Arg::new("bus").long("bus").value_name("ADDRESS").help(text.say("tray-help-bus", &[])))
        .arg(
            Arg::new("pinentry")
                .long("pinentry")
                .value_name("PROGRAM")
                .value_parser(value_parser!(std::ffi::OsString))
                .help(text.say("tray-help-pinentry", &[])),
        )
}

fn options(mut matches: ArgMatches, locale: String) -> Options {
    Options { bus: matches.remove_one("bus"), pinentry: Pinentry { program: matches.remove_one("pinentry") }, locale }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
