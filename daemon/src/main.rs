//! obnovad: finds out where its parts are, and runs them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use obnova_core::programme;
use obnovad::bus::views::Household;
use obnovad::clock::SystemClock;
use obnovad::config::{self, Settings};
use obnovad::helper::Helper;
use obnovad::{Parts, RunError, run, service};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// With nothing to watch, the daemon ends after this time; the bus starts it again.
const IDLE_EXIT: Duration = Duration::from_mins(2);

/// Watches certificates, warns before they end, renews them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read this configuration instead of ~/.config/obnova/obnova.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep the state here instead of in ~/.local/state/obnova.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Serve on the bus at this address instead of the session bus.
    #[arg(long, value_name = "ADDRESS")]
    bus: Option<String>,
    /// Say whether the configuration is right, and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be there yet, and is not where a person looks who starts it by hand")]
fn complain(error: &anyhow::Error) {
    match error.downcast_ref::<RunError>() {
        Some(error) => {
            let advice = service::advice(&error.problem());
            eprintln!("obnovad: {}\nhint: {}", advice.sentence, advice.hint);
        }
        None => eprintln!("obnovad: {error:#}"),
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let named = arguments.config.is_some();
    let config = match arguments.config {
        Some(path) => path,
        None => home("XDG_CONFIG_HOME", ".config")?.join("obnova/obnova.toml"),
    };
    let settings = config::load(&config, named)?;
    let programmes = programme::built_in()?;
    if arguments.check {
        return Ok(());
    }
    log(&settings);
    obnova_secret::process::harden().context("the process cannot be protected")?;
    let state_dir = match arguments.state_dir {
        Some(directory) => std::path::absolute(directory)?,
        None => home("XDG_STATE_HOME", ".local/state")?.join("obnova"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let builder = match &arguments.bus {
            Some(address) => zbus::connection::Builder::address(address.as_str())?,
            None => zbus::connection::Builder::session()?,
        };
        let connection = builder.build().await.map_err(RunError::Bus)?;
        let parts = Parts {
            connection,
            bus_name: Some(obnova_api::BUS_NAME),
            state_dir,
            settings,
            programmes,
            clock: Arc::new(SystemClock::new()?),
            helper: Helper::at(helper_program()?),
            household: Household { owner: owner(), scope: "user" },
            only_uid: Some(rustix::process::getuid().as_raw()),
            idle_exit: Some(IDLE_EXIT),
        };
        Ok(run(parts, stop).await?)
    })
}

/// obnova-helper beside this program, or where it is installed.
fn helper_program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let places = [own.with_file_name("obnova-helper"), own.with_file_name("../libexec/obnova/obnova-helper")];
    let found = places.iter().find(|place| place.exists()).cloned();
    found.with_context(|| format!("obnova-helper is neither at {} nor at {}", places[0].display(), places[1].display()))
}

/// A directory of the XDG Base Directory Specification.
fn home(variable: &str, fallback: &str) -> anyhow::Result<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|path| path.is_absolute()).map(|home| home.join(fallback));
    set.or_else(home).with_context(|| format!("neither {variable} nor HOME is set"))
}

fn owner() -> String {
    std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string())
}

fn log(settings: &Settings) {
    let filter = EnvFilter::try_from_env("OBNOVA_LOG")
        .unwrap_or_else(|_| EnvFilter::new(settings.log.as_deref().unwrap_or("info,zbus=warn")));
    // systemd writes the time beside each line.
    let timed = std::env::var_os("JOURNAL_STREAM").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if timed { builder.init() } else { builder.without_time().init() }
}
