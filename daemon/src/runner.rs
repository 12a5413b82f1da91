//! Drives renewals: asks the fold what comes next, does it, and hands the outcome to the engine. Touches no state of its own
//! but the files in the job's directory; how a step is done stands in [`steps`].
//!
//! For each step: gather what the intent must hold → write the intent → act → write the outcome. After a crash or a failed
//! call the world is asked first.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use obnova_api::QuestionView;
use obnova_core::job::{Job, JobEvent, NewKey, Next, Phase, Start};
use obnova_core::record::Record;
use obnova_core::{Problem, Step};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::authorities::simulated::Simulated;
use crate::bus::agents::{Agents, Requester};
use crate::cards::Cards;
use crate::clock::Clock;
use crate::courier::Courier;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::helper::Helper;
use crate::keyring::Keyring;
use crate::outgoing::Outgoing;
use crate::revocation::Examiner;
use crate::shares;
use crate::stores::{self, Surveyor};

mod at_card;
pub(crate) mod backup;
mod halt;
mod retry;
pub(crate) mod sitting;
mod steps;
pub(crate) mod trouble;

use sitting::Sitting;
use steps::{Answer, Ground};

/// What the runner works with.
pub struct Tools {
    /// Takes the outcomes.
    pub engine: Engine,
    /// Does what needs a key or a secret.
    pub helper: Helper,
    /// Remembers passwords.
    pub keyring: Keyring,
    /// What opens without a question.
    pub credentials: Credentials,
    /// The person's mail server, if one is configured.
    pub outgoing: Option<Outgoing>,
    /// Speaks with authorities in the network.
    pub courier: Courier,
    /// Finds out whether certificates have been revoked; `None`: nobody does.
    pub examiner: Option<Examiner>,
    /// Reaches cards and tokens.
    pub cards: Cards,
    /// Issues what rehearsals ask for.
    pub simulated: Simulated,
    /// Asks the person.
    pub agents: Arc<Agents>,
    /// Is told of new places.
    pub surveyor: Surveyor,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where jobs keep what is not yet in its place: one directory for each.
    pub pending: PathBuf,
}

/// The handle to the runner.
#[derive(Clone)]
pub struct Runner {
    tools: Arc<Tools>,
    /// The jobs under way. Shared by the bus, which starts and stops them.
    running: Arc<Mutex<HashMap<u64, Driver>>>,
    /// How often a job was tried again by itself.
    tried: Arc<Mutex<HashMap<u64, usize>>>,
}

/// The one task that drives a job: two would act twice.
struct Driver {
    task: JoinHandle<()>,
    /// Somebody said to go on while it was about to stop.
    again: Again,
}

/// Who said to go on while the driver was about to stop, or slept, and what wakes it.
#[derive(Default)]
struct Word {
    whom: Mutex<Option<Requester>>,
    said: Notify,
}

type Again = Arc<Word>;

impl Runner {
    /// A runner with nothing to do.
    pub fn new(tools: Tools) -> Self {
        Self { tools: Arc::new(tools), running: Arc::default(), tried: Arc::default() }
    }

    /// Drives a job until it ends or waits for a person. `whom`: who is asked.
    pub fn drive(&self, number: u64, whom: Requester) {
        let mut running = lock(&self.running);
        running.retain(|_, driver| !driver.task.is_finished());
        if let Some(driver) = running.get(&number) {
            *lock(&driver.again.whom) = Some(whom);
            driver.again.said.notify_one();
            return;
        }
        let (tools, again, runner) = (Arc::clone(&self.tools), Again::default(), self.clone());
        let by = whom.clone();
        let asked = Arc::clone(&again);
        let task = tokio::spawn(async move {
            if let Err(problem) = Box::pin(shares::kept(drive(&tools, number, whom, &asked))).await {
                tracing::error!(job = number, %problem, "the renewal stands still until it is resumed");
                if let Err(problem) = tools.engine.stall(number, Some(problem)).await {
                    tracing::error!(job = number, %problem, "nobody can be told");
                }
            }
            retry::later(runner, number, by).await;
        });
        running.insert(number, Driver { task, again });
    }

    /// What a renewal would do, as the person would be asked about it; nothing is changed.
    pub async fn plan(&self, start: Start, whom: Requester) -> Result<QuestionView, Problem> {
        steps::plan(&self.tools, start, whom).await
    }

    /// Copies a certificate and its key into a new file.
    pub(crate) async fn back_up(&self, what: &backup::Backup, whom: &Requester) -> Result<(), Problem> {
        backup::copy(&self.tools, what, whom).await
    }

    /// Whether a job is being driven.
    pub fn is_driving(&self, number: u64) -> bool {
        lock(&self.running).get(&number).is_some_and(|driver| !driver.task.is_finished())
    }

    /// Stops driving a job; what it was just doing may or may not have happened, as after a crash.
    pub async fn stop(&self, number: u64) {
        let driver = lock(&self.running).remove(&number);
        if let Some(Driver { task, .. }) = driver {
            task.abort();
            // An error here says that it was aborted, which is what was wanted.
            let _ = task.await;
        }
    }

    /// Stops all jobs.
    pub async fn stop_all(&self) {
        let numbers: Vec<u64> = lock(&self.running).keys().copied().collect();
        for number in numbers {
            self.stop(number).await;
        }
    }

    /// Removes what an ended job left in its directory, unless that may be the only copy of a key that is in use.
    pub async fn tidy(&self, number: u64) {
        if let Err(problem) = tidy(&self.tools, number).await {
            tracing::warn!(job = number, %problem, "the renewal's working files stay");
        }
    }

    /// Tidies up after all jobs: one may have ended just before a crash.
    pub async fn tidy_all(&self) {
        // Where no job ever had files there is no directory.
        let entries = std::fs::read_dir(&self.tools.pending).into_iter().flatten().flatten();
        for number in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            self.tidy(number).await;
        }
    }

    /// Has those told of finished renewals who had not heard of them when the daemon ended.
    pub async fn remind(self) {
        let latest = self.tools.engine.read(|state| latest_registered(&state.world)).await;
        for (number, job) in latest.unwrap_or_default() {
            let ground = Ground { tools: &self.tools, number, job: &job };
            if let Err(problem) = steps::register::catch_up(&ground).await {
                tracing::debug!(job = number, %problem, "whether all have heard of it is not known");
            }
        }
    }
}

/// The last finished renewal of each identity, where somebody was to learn of it.
fn latest_registered(world: &obnova_core::World) -> Vec<(u64, Job)> {
    let mut latest = HashMap::new();
    for (number, job) in world.jobs() {
        let done = matches!(job.phase, Phase::Done) && job.start.plan.steps().contains(&Step::Register);
        if done {
            latest.insert(job.start.identity, (number, job.clone()));
        }
    }
    latest.into_values().collect()
}

/// What a panicked holder left behind is a whole value all the same: these are replaced, never half written.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn drive(tools: &Tools, number: u64, whom: Requester, again: &Again) -> Result<(), Problem> {
    let mut sitting = Sitting::new(whom);
    loop {
        let job = tools.engine.read(move |state| state.world.job(number).cloned()).await?;
        let Some(job) = job else { return Ok(()) };
        let ground = Ground { tools, number, job: &job };
        let event = match job.next() {
            Next::Begin(step) => begin(&ground, step, &mut sitting).await?,
            Next::Probe(intent) => match steps::probe(&ground, intent, &sitting).await {
                Answer::Happened(outcome) => Some(JobEvent::Done { outcome }),
                Answer::NotYet => Some(perform(&ground, intent, &mut sitting).await),
                Answer::Unknown(problem) => Some(JobEvent::Failed { step: intent.step(), problem }),
            },
            // Nothing is awaited between this look and the end of the task: who says to go on later starts another.
            Next::Wait => {
                let said = lock(&again.whom).take();
                match (said, asks_again(&job)) {
                    (Some(whom), _) => sitting = Sitting::new(whom),
                    (None, Some(then)) => {
                        // Nothing of a sitting outlives the wait.
                        sitting = Sitting::new(sitting.whom);
                        wait(tools, number, then, again).await?;
                    }
                    (None, None) => return Ok(()),
                }
                continue;
            }
            Next::Ended => {
                if job.phase == Phase::Done && job.start.install.is_beside() {
                    let news = job.preflight().map_or(&[][..], |(keys, _)| keys);
                    for old in job.start.old.iter().filter(|old| news.iter().all(|new| new.place != old.place)) {
                        tools.surveyor.unwatch(old.place.clone()).await;
                    }
                    remember(tools, &job).await?;
                    tools.engine.forget_unwatched().await?;
                }
                tidy(tools, number).await?;
                shares::say(number, "end");
                return Ok(());
            }
        };
        let Some(event) = event else { continue };
        let step = job.step();
        if let JobEvent::Failed { problem, .. } = &event {
            tracing::info!(job = number, kind = problem.kind(), "the renewal waits for a person");
            tracing::debug!(job = number, %problem, "the renewal waits for a person");
        }
        let done = matches!(event, JobEvent::Done { .. });
        write(tools, number, event).await?;
        if let (true, Some(step)) = (done, step) {
            tracing::info!(job = number, %step, "done");
            halt::at(step, job.member(), "done");
        }
        shares::say(number, &step.map(|step| step.to_string()).unwrap_or_default());
    }
}

/// When a renewal that waits for its authority goes on by itself.
fn asks_again(job: &Job) -> Option<DateTime<Utc>> {
    match job.problem()? {
        Problem::AwaitingIssue { again, .. } | Problem::AuthorityBusy { again, .. } => {
            Some(DateTime::parse_from_rfc3339(again).ok()?.to_utc())
        }
        _ => None,
    }
}

/// Sleeps until the authority may be asked again, then says go on; or until somebody else has said so.
async fn wait(tools: &Tools, number: u64, then: DateTime<Utc>, again: &Again) -> Result<(), Problem> {
    let clock = tools.clock.another().map_err(|error| Problem::Internal { detail: error.to_string() })?;
    while clock.now() < then {
        tokio::select! {
            () = clock.sleep(Some(then)) => {}
            () = again.said.notified() => return Ok(()),
        }
    }
    let waits = |job: &Job| matches!(job.phase, Phase::Waiting(..));
    tools
        .engine
        .write(move |world, _| {
            let resumed = Record::Job { job: number, what: JobEvent::Resumed {} };
            Ok(world.job(number).is_some_and(waits).then_some(resumed).into_iter().collect())
        })
        .await
}

/// Gathers what the intent must hold and writes it; acting on it is the next round's, by the same way as after a crash.
/// `None`: the intent has been written and performed as far as its own event says.
async fn begin(ground: &Ground<'_>, step: Step, sitting: &mut Sitting) -> Result<Option<JobEvent>, Problem> {
    let intent = match steps::prepare(ground, step, sitting).await {
        Ok(intent) => intent,
        Err(problem) => return Ok(Some(JobEvent::Failed { step, problem })),
    };
    write(ground.tools, ground.number, JobEvent::Intended { intent: intent.clone() }).await?;
    halt::at(step, ground.job.member(), "intended");
    Ok(Some(perform(ground, &intent, sitting).await))
}

/// Acts, and says what came of it.
async fn perform(ground: &Ground<'_>, intent: &obnova_core::job::Intent, sitting: &mut Sitting) -> JobEvent {
    let step = intent.step();
    let event = match steps::perform(ground, intent, sitting).await {
        Ok(outcome) => JobEvent::Done { outcome },
        Err(Problem::ConsentRefused {}) => JobEvent::Cancelled {},
        Err(problem) => JobEvent::Failed { step, problem },
    };
    if matches!(event, JobEvent::Done { .. }) {
        halt::at(step, ground.job.member(), "acted");
    }
    event
}

async fn write(tools: &Tools, job: u64, what: JobEvent) -> Result<(), Problem> {
    tools.engine.write(move |_, _| Ok(vec![Record::Job { job, what }])).await
}

/// What opened an old file and opens the new one, too, is remembered for that as well.
async fn remember(tools: &Tools, job: &Job) -> Result<(), Problem> {
    let made = job.preflight().map_or(&[][..], |(keys, _)| keys);
    for (old, NewKey { place, .. }) in job.start.old.iter().zip(made) {
        let (known, new) = (old.place.clone(), place.clone());
        if !tools.engine.read(move |state| state.world.remembers(&known)).await? {
            continue;
        }
        let kept = async {
            let Some(password) = tools.keyring.find(&old.place, false).await? else { return Ok(false) };
            if !stores::opens(&tools.helper, place, &password).await? {
                return Ok(false);
            }
            tools.keyring.keep(place, &password).await.map(|()| true)
        };
        match kept.await {
            Ok(true) => tools.engine.write(move |_, _| Ok(vec![Record::Remembered { place: new }])).await?,
            Ok(false) => {}
            // The renewal is done; what is lost is a convenience.
            Err(problem @ (Problem::NoKeyring { .. } | Problem::KeyringClosed {})) => {
                tracing::warn!(%problem, "the new file's password is not remembered");
            }
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

async fn tidy(tools: &Tools, number: u64) -> Result<(), Problem> {
    let finished = tools.engine.read(move |state| {
        // A cancelled installation may have left the only copy of a new key here.
        let tidy = |job: &Job| job.is_ended() && (!job.installing || job.phase == Phase::Done);
        state.world.job(number).is_some_and(tidy)
    });
    let directory = tools.pending.join(number.to_string());
    if finished.await? && directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|error| trouble::io(&error, &directory))?;
    }
    Ok(())
}
