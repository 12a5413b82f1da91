//! obnovad: finds out where its parts are, and runs them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use obnova_core::Programme;
use obnovad::bus::admission::Admission;
use obnovad::cards::{modules, readers::Readers};
use obnovad::clock::{Clock, SystemClock};
use obnovad::companions::program;
use obnovad::config::{self, Network, Settings};
use obnovad::courier::Courier;
use obnovad::courier::protocol::Names;
use obnovad::credentials::Credentials;
use obnovad::helper::Helper;
use obnovad::keyring::Keyring;
use obnovad::rehearsal::{RehearsalError, Stage};
use obnovad::scope::Scope;
use obnovad::watching::Machine;
use obnovad::{Configured, Parts, RunError, programmes, rehearsal, run, service};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::Level;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;

/// With nothing to watch, the daemon ends after this time; the bus starts it again.
const IDLE_EXIT: Duration = Duration::from_mins(2);

/// What stands on the command line.
#[derive(Default)]
struct Arguments {
    scope: Scope,
    config: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    bus: Option<String>,
    check: bool,
    rehearse: Option<String>,
    help: bool,
    version: bool,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let mut arguments = Self::default();
        let mut line = lexopt::Parser::from_env();
        while let Some(argument) = line.next()? {
            match argument {
                Long("system") => arguments.scope = Scope::System,
                Long("config") => arguments.config = Some(line.value()?.into()),
                Long("state-dir") => arguments.state_dir = Some(line.value()?.into()),
                Long("bus") => arguments.bus = Some(line.value()?.string()?),
                Long("rehearse") => arguments.rehearse = Some(line.value()?.string()?),
                Long("check") => arguments.check = true,
                Short('h') | Long("help") => arguments.help = true,
                Short('V') | Long("version") => arguments.version = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            complain(&error.to_string(), &service::text().say("daemon-usage", &[]));
            return ExitCode::from(2);
        }
    };
    if arguments.help || arguments.version {
        introduce(arguments.help);
        return ExitCode::SUCCESS;
    }
    let Err(error) = start(arguments) else { return ExitCode::SUCCESS };
    let problem = match (error.downcast_ref::<RunError>(), error.downcast_ref::<RehearsalError>()) {
        (Some(error), _) => Some(error.problem()),
        (None, Some(error)) => Some(error.problem()),
        (None, None) => None,
    };
    if let Some(problem) = problem {
        let advice = service::advice(&problem);
        complain(&advice.sentence, &advice.hint);
    } else {
        complain(&format!("{error:#}"), "");
    }
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn introduce(whole: bool) {
    let version = env!("CARGO_PKG_VERSION");
    if whole {
        println!("{}", service::text().say("daemon-help", &[("version", version)]));
    } else {
        println!("obnovad {version}");
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be there yet, and is not where a person looks who starts it by hand")]
fn complain(sentence: &str, hint: &str) {
    eprintln!("obnovad: {sentence}");
    if !hint.is_empty() {
        eprintln!("hint: {hint}");
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let scope = arguments.scope;
    let named = arguments.config.is_some();
    let config = match arguments.config {
        Some(path) => path,
        None => scope.config()?,
    };
    let notify = config.with_file_name("notify.d");
    let configured = move || -> anyhow::Result<Configured> {
        let settings = config::load(scope.administrators_config(), &config, named)?;
        let programmes = programmes::load(&config.with_file_name("programmes.d"))?;
        let modules = if scope.has_cards() {
            modules::all(&settings.modules, Path::new("/"), scope.home().as_deref())
        } else {
            settings.modules.clone()
        };
        Ok(Configured { settings, programmes, modules })
    };
    let Configured { settings, programmes, modules } = configured()?;
    if arguments.check {
        return Ok(());
    }
    let filter = log(&settings);
    if let Some(name) = arguments.rehearse {
        return rehearse(&name, programmes);
    }
    obnova_secret::footprint::give_back_soon();
    obnova_secret::process::harden().context("the process cannot be protected")?;
    let state_dir = match arguments.state_dir {
        Some(directory) => std::path::absolute(directory)?,
        None => scope.state_dir()?,
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
        let (reload, reloads) = mpsc::unbounded_channel();
        tokio::spawn(at_hang_up(signal(SignalKind::hangup())?, configured, filter, reload));
        let builder = match &arguments.bus {
            Some(address) => zbus::connection::Builder::address(address.as_str())?,
            None => scope.bus()?,
        };
        let connection = builder.build().await.map_err(RunError::Bus)?;
        let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let parts = Parts {
            credentials: Credentials::new(handed_over, settings.credentials.clone()),
            keyring: if scope == Scope::User { Keyring::on(connection.clone()) } else { Keyring::none() },
            connection,
            bus_name: Some(obnova_api::BUS_NAME),
            state_dir,
            courier: Courier::at(program("obnova-courier")?, Names::of(settings.mail.resolver)),
            settings,
            programmes,
            clock: Arc::new(SystemClock::new()?),
            helper: Helper::at(program("obnova-helper")?),
            readers: if scope.has_cards() { Some(Readers::start().context("readers cannot be watched")?) } else { None },
            modules,
            household: scope.household(),
            notify: Some(notify),
            machine: Machine::at("/", scope == Scope::System),
            admission: scope.admission(),
            // The machine's certificates are looked after from start to end.
            reloads: Some(reloads),
            idle_exit: (scope == Scope::User).then_some(IDLE_EXIT),
        };
        Ok(run(parts, stop).await?)
    })
}

/// Plays a programme through for whoever holds the other end of standard input, and leaves nothing behind.
fn rehearse(name: &str, programmes: Vec<Programme>) -> anyhow::Result<()> {
    obnova_secret::process::harden().context("the process cannot be protected")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Ctrl-C at the terminal is meant for whoever has started this, who then leaves.
        let _interrupts = signal(SignalKind::interrupt())?;
        let helper = Helper::at(program("obnova-helper")?);
        let clock = SystemClock::new()?;
        let stage = Stage::set(&std::env::temp_dir(), name, programmes, &helper, clock.now().to_utc()).await?;
        let parts = Parts {
            credentials: Credentials::none(),
            keyring: Keyring::none(),
            connection: rehearsal::connection().await?,
            bus_name: None,
            state_dir: stage.state_dir(),
            settings: Settings { watch: vec![stage.place.clone()], network: Network::none(), ..Settings::default() },
            programmes: vec![stage.programme.clone()],
            clock: Arc::new(clock),
            helper,
            courier: Courier::at(program("obnova-courier")?, Names::default()),
            readers: None,
            modules: Vec::new(),
            household: Scope::User.household(),
            notify: None,
            machine: Machine::none(),
            admission: Admission::Peer,
            reloads: None,
            idle_exit: None,
        };
        let stop = async move {
            let _ = terminate.recv().await;
        };
        match run(parts, stop).await {
            // Whoever has rehearsed has gone: it is over.
            Ok(()) | Err(RunError::BusLost) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}

/// Reads the configuration anew as often as it is asked to; one with a mistake changes nothing.
async fn at_hang_up(
    mut hang_up: tokio::signal::unix::Signal,
    configured: impl Fn() -> anyhow::Result<Configured>,
    filter: Handle<Targets, Registry>,
    reload: mpsc::UnboundedSender<Configured>,
) {
    while hang_up.recv().await.is_some() {
        service::reloading();
        match configured() {
            Ok(configured) => {
                if let Err(error) = filter.reload(wanted(&configured.settings)) {
                    tracing::error!(%error, "the level of the log stays as it was");
                }
                // The daemon that would take it may be ending.
                drop(reload.send(configured));
            }
            Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
        }
        service::ready();
    }
}

/// Has what is logged written to standard error; what it gives says anew how much that is.
fn log(settings: &Settings) -> Handle<Targets, Registry> {
    let (filter, handle) = reload::Layer::new(wanted(settings));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    // systemd writes the time beside each line, and takes the level from its beginning.
    if std::env::var_os("JOURNAL_STREAM").is_none() {
        registry.with(lines.with_writer(std::io::stderr)).init();
    } else {
        registry.with(lines.without_time().with_writer(service::Journal)).init();
    }
    handle
}

/// What is logged: `info`, or `info,obnovad::runner=debug`.
fn wanted(settings: &Settings) -> Targets {
    let asked = std::env::var("OBNOVA_LOG").ok().or_else(|| settings.log.clone());
    let filter = asked.and_then(|asked| asked.parse::<Targets>().ok());
    filter.unwrap_or_else(|| Targets::new().with_default(Level::INFO).with_target("zbus", Level::WARN))
}
