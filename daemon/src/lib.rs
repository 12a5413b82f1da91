//! The daemon as a library. [`run`] is the one composition root: production and tests hand it other parts, not another path.

pub mod authorities;
pub mod bus;
pub mod cards;
pub mod clock;
pub mod companions;
pub mod config;
mod consumers;
pub mod courier;
pub mod credentials;
pub mod engine;
pub mod executables;
pub mod helper;
pub mod herald;
pub mod journal;
pub mod keyring;
pub mod mail;
mod mailboxes;
pub mod network;
mod opening;
pub mod outgoing;
pub mod programmes;
mod random;
pub mod rehearsal;
pub mod revocation;
pub mod runner;
pub mod scope;
pub mod service;
mod shares;
pub mod stores;
pub mod watching;

use std::fs::{File, TryLockError};
use std::future::Future;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::StreamExt;
use obnova_core::{Problem, Programme, World};
use tokio::sync::{Notify, mpsc};
use zbus::fdo::RequestNameFlags;
use zbus::{Connection, MessageStream};

use authorities::simulated::Simulated;
use bus::Desk;
use bus::admission::Admission;
use bus::agents::{Agents, Requester};
use bus::views::Household;
use cards::Cards;
use cards::modules::Module;
use cards::readers::{ReaderEvent, Readers};
use clock::Clock;
use config::Settings;
use courier::Courier;
use credentials::Credentials;
use engine::{Engine, EngineError, Loaded};
use helper::Helper;
use herald::Herald;
use journal::{Journal, JournalError};
use keyring::Keyring;
use mailboxes::Mailboxes;
use revocation::Examiner;
use runner::{Runner, Tools};
use stores::Surveyor;
use watching::{Machine, Watching};

/// What the daemon is made of.
pub struct Parts {
    /// How it is spoken to: a bus, or the one peer of a socket pair.
    pub connection: Connection,
    /// The name that it takes on the bus, last of all; `None` over a socket pair.
    pub bus_name: Option<&'static str>,
    /// Where its state lies.
    pub state_dir: PathBuf,
    /// What the configuration says.
    pub settings: Settings,
    /// How certificates are renewed.
    pub programmes: Vec<Programme>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who touches keys.
    pub helper: Helper,
    /// Who speaks with the network and opens mails.
    pub courier: Courier,
    /// The readers and what happens at them; `None`: this daemon uses none.
    pub readers: Option<(Readers, mpsc::UnboundedReceiver<ReaderEvent>)>,
    /// The PKCS#11 modules that may show tokens.
    pub modules: Vec<Module>,
    /// What remembers passwords.
    pub keyring: Keyring,
    /// What the service was handed over to open files and tokens with.
    pub credentials: Credentials,
    /// Whose items these are.
    pub household: Household,
    /// Where the executables are that are told of notices; `None`: nobody is told that way.
    pub notify: Option<PathBuf>,
    /// The machine that it runs on.
    pub machine: Machine,
    /// Who is heard.
    pub admission: Admission,
    /// What the configuration says when it is read anew; `None`: it never is.
    pub reloads: Option<mpsc::UnboundedReceiver<Configured>>,
    /// With nothing to watch and nobody there, end after so long; the bus starts the daemon again.
    pub idle_exit: Option<Duration>,
}

/// What the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Configured {
    /// Its settings.
    pub settings: Settings,
    /// How certificates are renewed.
    pub programmes: Vec<Programme>,
    /// The PKCS#11 modules that may show tokens.
    pub modules: Vec<Module>,
}

/// Why the daemon ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory cannot be used.
    #[error("the state directory {path} cannot be used")]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another daemon works on it.
    #[error("another obnovad works on the state directory {0}")]
    Locked(PathBuf),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal cannot be replayed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The kernel reports no changes of files.
    #[error("files cannot be watched for changes")]
    Watching(#[source] std::io::Error),
    /// The task that watches files has ended.
    #[error("files are not watched any more")]
    Blind,
    /// Another daemon has the bus name.
    #[error("another program has the bus name {0}")]
    NameTaken(&'static str),
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] zbus::Error),
    /// The bus has gone away.
    #[error("the connection to the bus is lost")]
    BusLost,
    /// The engine does not answer.
    #[error("the engine has stopped: {0}")]
    Engineless(Problem),
}

impl RunError {
    /// What a person is told who started the daemon.
    pub fn problem(&self) -> Problem {
        let shown = |path: &Path| path.display().to_string();
        match self {
            Self::StateDir { path, source } => Problem::StateUnusable { path: shown(path), detail: source.to_string() },
            Self::Locked(path) => Problem::StateLocked { path: shown(path) },
            Self::Journal(error) | Self::Engine(EngineError::Journal(error)) => engine::journal_problem(error),
            Self::Engine(error @ EngineError::Contradiction { path, .. }) => {
                Problem::JournalDamaged { path: shown(path), detail: error.to_string() }
            }
            Self::NameTaken(name) => Problem::NameTaken { name: (*name).to_owned() },
            Self::Bus(error) => Problem::BusLost { detail: error.to_string() },
            Self::BusLost => Problem::BusLost { detail: self.to_string() },
            Self::Blind => Problem::Internal { detail: self.to_string() },
            Self::Watching(source) => Problem::Internal { detail: format!("{self}: {source}") },
            Self::Engineless(problem) => problem.clone(),
        }
    }
}

/// Runs the daemon until `stop` is ready, the bus goes away, or there is nothing to do.
pub async fn run(parts: Parts, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let _lock = lock(&parts.state_dir)?;
    let (journal, contents) = Journal::open(&parts.state_dir)?;
    let (publish, publications) = mpsc::unbounded_channel();
    let notifiers = Arc::new(AtomicUsize::new(0));
    let world = World::new(parts.programmes);
    let clock = Arc::clone(&parts.clock);
    let mut loaded = Loaded::replay(world, journal.clone(), contents, clock, publish, Arc::clone(&notifiers))?;
    let (sightings, seen) = mpsc::channel(16);
    let stamps = loaded.take_stamps();
    let (surveyor, surveying) = Surveyor::start(parts.helper.clone(), stamps, sightings).map_err(RunError::Watching)?;
    let unfinished = unfinished(loaded.world());
    let mut machine = parts.machine;
    machine.introduce(loaded.world_mut());
    loaded.world_mut().want_checks(parts.settings.network.revocation());
    let checks_due = loaded.checks_due();
    let engine = loaded.start();
    let (readers, at_readers) = parts.readers.unzip();
    let cards = Cards::new(parts.helper.clone(), readers, parts.modules);
    let agents = Agents::new(parts.connection.clone(), Arc::clone(&notifiers));
    let (keyring, credentials) = (parts.keyring, parts.credentials);
    let network = &parts.settings.network;
    let examiner = Examiner::new(parts.helper.clone(), parts.courier.clone(), network.local());
    let examiner = network.revocation().then_some(examiner);
    let mail_servers: Arc<[String]> = parts.settings.mail.servers.clone().into();
    let mailboxes = Mailboxes::new(
        engine.clone(),
        parts.courier.clone(),
        Arc::clone(&mail_servers),
        keyring.clone(),
        credentials.clone(),
        Arc::clone(&parts.clock),
    );
    let runner = Runner::new(Tools {
        engine: engine.clone(),
        keyring: keyring.clone(),
        credentials: credentials.clone(),
        cards: cards.clone(),
        simulated: Simulated::at(parts.state_dir.join("simulated-authority"), parts.helper.clone()),
        helper: parts.helper.clone(),
        courier: parts.courier.clone(),
        examiner: examiner.clone(),
        outgoing: parts.settings.outgoing.clone(),
        agents: Arc::clone(&agents),
        surveyor: surveyor.clone(),
        clock: parts.clock,
        pending: parts.state_dir.join("pending"),
    });
    let desk = Desk {
        engine: engine.clone(),
        runner: runner.clone(),
        surveyor: surveyor.clone(),
        cards: cards.clone(),
        helper: parts.helper,
        keyring: keyring.clone(),
        credentials: credentials.clone(),
        herald: Herald::new(parts.notify, engine.clone(), parts.household.clone()),
        agents,
        courier: parts.courier,
        mail_servers,
        mailboxes: mailboxes.clone(),
        household: parts.household,
        admission: parts.admission,
    };
    bus::serve(&parts.connection, &desk, &unfinished).await?;
    let mut messages = MessageStream::from(&parts.connection);
    if let Some(name) = parts.bus_name {
        let taken = parts.connection.request_name_with_flags(name, RequestNameFlags::DoNotQueue.into()).await;
        taken.map_err(|error| match error {
            zbus::Error::NameTaken => RunError::NameTaken(name),
            other => RunError::Bus(other),
        })?;
    }
    let (sequence, chain) = journal.head().await?;
    tracing::info!(records = sequence, head = %chain, "ready");
    let changed = Arc::new(Notify::new());
    service::ready();
    changed.notify_one();

    let watching = Watching::new(engine.clone(), surveyor, cards.clone(), keyring, credentials, machine, mailboxes.clone());
    let look = tokio::spawn(watching.run(parts.settings, seen, parts.reloads));
    let greet = tokio::spawn(at_screen(parts.connection.clone(), engine.clone(), notifiers));
    let look_at_cards = tokio::spawn(at_cards(cards, engine.clone(), runner.clone(), at_readers));
    let go_round = examiner.map(|examiner| tokio::spawn(look_after(engine.clone(), examiner, checks_due)));
    let speak = service::speak(desk.clone(), Arc::clone(&changed));
    let moved = Arc::new(Notify::new());
    let publishing = {
        let moved = Arc::clone(&moved);
        let tell = move || [&changed, &moved].into_iter().for_each(|waiting| waiting.notify_one());
        bus::publish(parts.connection.clone(), desk.clone(), publications, tell)
    };
    mailboxes.begin().await.map_err(RunError::Engineless)?;
    runner.tidy_all().await;
    let remind = tokio::spawn(runner.clone().remind());
    for number in unfinished {
        runner.drive(number, requester(&engine, number).await?);
    }
    let ended = tokio::select! {
        () = stop => Ok(()),
        () = until_closed(&mut messages) => Err(RunError::BusLost),
        result = publishing => result.map_err(RunError::Bus),
        problem = speak => Err(RunError::Engineless(problem)),
        _ = surveying => Err(RunError::Blind),
        () = idle(&desk, parts.idle_exit, &moved) => Ok(()),
    };
    service::stopping();
    look.abort();
    mailboxes.stop();
    remind.abort();
    look_at_cards.abort();
    if let Some(go_round) = go_round {
        go_round.abort();
    }
    greet.abort();
    runner.stop_all().await;
    let left = engine.read(|state| self::unfinished(&state.world)).await.map_err(RunError::Engineless)?;
    bus::withdraw(&parts.connection, &left).await?;
    let (sequence, chain) = journal.head().await?;
    tracing::info!(records = sequence, head = %chain, "stopped");
    journal.close().await?;
    ended
}

fn unfinished(world: &World) -> Vec<u64> {
    world.jobs().filter(|(_, job)| !job.is_ended()).map(|(number, _)| number).collect()
}

/// The state directory, taken.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do while a child that is just being started still has a copy of the descriptor.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the state directory is released only when the process ends");
        }
    }
}

/// Takes the state directory for this process alone.
fn lock(directory: &Path) -> Result<Lock, RunError> {
    let failed = |source| RunError::StateDir { path: directory.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(directory.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Warnings that nobody has seen come back when the screen is unlocked.
async fn at_screen(connection: Connection, engine: Engine, notifiers: Arc<AtomicUsize>) {
    if let Err(error) = bus::screen::greet_at_unlock(connection, engine, notifiers).await {
        tracing::warn!(%error, "nobody says when the screen is unlocked");
    }
}

/// Looks at cards, now and as they come and go.
async fn at_cards(cards: Cards, engine: Engine, runner: Runner, events: Option<mpsc::UnboundedReceiver<ReaderEvent>>) {
    if let Err(problem) = cards::survey::survey(cards, engine, runner, events).await {
        tracing::error!(%problem, "cards are watched no more");
    }
}

/// Looks what becomes of the certificates, whenever some are due.
async fn look_after(engine: Engine, examiner: Examiner, due: Arc<Notify>) {
    if let Err(problem) = revocation::rounds(engine, examiner, due).await {
        tracing::error!(%problem, "nobody looks any more whether certificates have been revoked");
    }
}

/// Who is asked about a job after a restart: any agent of the user who started it.
async fn requester(engine: &Engine, number: u64) -> Result<Requester, RunError> {
    let uid = engine.read(move |state| state.world.job(number).and_then(|job| job.start.uid)).await;
    Ok(Requester { uid: uid.map_err(RunError::Engineless)?, ..Requester::default() })
}

async fn until_closed(messages: &mut MessageStream) {
    while let Some(Ok(_)) = messages.next().await {}
}

/// Ready once nothing has been watched and nobody has been there for the whole of the time.
async fn idle(desk: &Desk, after: Option<Duration>, moved: &Notify) {
    let Some(after) = after else { return std::future::pending().await };
    let mut quiet_before = None;
    loop {
        let revision = desk.engine.read(|state| {
            let nothing = state.world.watches().next().is_none()
                && state.world.mailboxes().next().is_none()
                && state.world.jobs().all(|(_, job)| job.is_ended());
            nothing.then_some(state.revision)
        });
        let Ok(revision) = revision.await else { return };
        let quiet = if desk.agents.is_empty().await { revision } else { None };
        if quiet.is_some() && quiet == quiet_before {
            tracing::info!("nothing is watched and nobody is here");
            return;
        }
        quiet_before = quiet;
        if quiet.is_some() {
            tokio::time::sleep(after).await;
        } else {
            // Something is watched, or somebody is here: asleep until that changes.
            moved.notified().await;
        }
    }
}
