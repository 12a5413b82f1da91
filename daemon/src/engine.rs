//! The one owner of what is known: event → append → apply → publish.
//!
//! Everything that changes the world passes through here, one thing after the other. Doing things in the world is the
//! runner's and the stores'; speaking is the bus's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use obnova_core::elsewhere::Elsewhere;
use obnova_core::job::{JobEvent, Phase};
use obnova_core::mailbox::Standing;
use obnova_core::record::Record;
use obnova_core::revocation::Checked;
use obnova_core::world::{Condition, Found, IllegalRecord, Sight};
use obnova_core::{Entry, Fingerprint, ItemId, Level, Now, Place, Problem, Programme, Scheme, World};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::Clock;
use crate::journal::{Contents, Journal, JournalError, Remember, Seen};
use crate::stores::{Sighting, Stamp};

mod checks;
mod mailboxes;
mod records;
mod stall;

use records::{replacement, touched_by};

/// What others are told when something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// These items are new or look otherwise.
    Changed(Vec<ItemId>, u64),
    /// These items are gone.
    Removed(Vec<ItemId>),
    /// A person should be told.
    Noticed(ItemId, &'static str, Level),
    /// A job has started by itself, and waits to be driven.
    Begun(u64),
    /// This job has got what it waited for: it is to be driven.
    Arrived(u64),
    /// A job has moved.
    Job(u64),
}

/// What the engine knows, as readers see it.
pub struct State {
    /// The world.
    pub world: World,
    /// Counts every change.
    pub revision: u64,
    listing: Option<(u64, bool, Arc<[ItemId]>)>,
    clock: Arc<dyn Clock>,
}

impl State {
    /// The present moment.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The ids of the items that are shown, in order; computed once for each revision.
    pub fn listing(&mut self, all: bool) -> Arc<[ItemId]> {
        if let Some((revision, for_all, ids)) = &self.listing
            && (*revision, *for_all) == (self.revision, all)
        {
            return Arc::clone(ids);
        }
        let ids: Arc<[ItemId]> = self.world.listing(all, self.clock.now()).into();
        self.listing = Some((self.revision, all, Arc::clone(&ids)));
        ids
    }
}

type Read = Box<dyn FnOnce(&mut State) + Send>;
type Decide = Box<dyn FnOnce(&World, Now) -> Result<Vec<Record>, Problem> + Send>;

enum Request {
    Read(Read),
    Write(Decide, oneshot::Sender<Result<(), Problem>>),
    See(Vec<Sighting>, oneshot::Sender<BTreeSet<ItemId>>),
    Tell(Place, &'static str, Level),
    CardsMoved(Vec<Place>, Vec<Place>),
    Stall(u64, Option<Problem>),
    Greet,
    Reprogramme(Vec<Programme>),
    RenewElsewhere(BTreeMap<Place, Elsewhere>),
    MailboxStands(String, Standing),
    Checked(Fingerprint, Box<Checked>, oneshot::Sender<()>),
}

/// The handle to the engine.
#[derive(Clone)]
pub struct Engine {
    requests: mpsc::Sender<Request>,
    journal: Journal,
}

/// Why the engine could not begin.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The records contradict each other.
    #[error("record {sequence} of the journal {path} cannot follow: {source}")]
    Contradiction {
        /// The journal.
        path: std::path::PathBuf,
        /// The record.
        sequence: u64,
        /// Why not.
        source: IllegalRecord,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The engine before it runs: everything replayed, nothing served yet.
pub struct Loaded {
    state: State,
    journal: Journal,
    stamps: Vec<(Place, Stamp)>,
    publish: mpsc::UnboundedSender<Publication>,
    notifiers: Arc<std::sync::atomic::AtomicUsize>,
    checks_due: Arc<Notify>,
}

impl Loaded {
    /// Replays what the journal holds, and lets it be served. Blocks. `notifiers`: how many agents show notices.
    pub fn replay(
        mut world: World,
        journal: Journal,
        mut contents: Contents,
        clock: Arc<dyn Clock>,
        publish: mpsc::UnboundedSender<Publication>,
        notifiers: Arc<std::sync::atomic::AtomicUsize>,
    ) -> Result<Self, EngineError> {
        let mut apply = |entry: Entry| {
            world.apply(&entry).map_err(|source| EngineError::Contradiction {
                path: journal.path().to_owned(),
                sequence: entry.sequence,
                source,
            })
        };
        contents.records(&mut apply)?;
        if contents.is_new() {
            let born = Record::Born { salt: crate::random::hex(16) };
            contents.append(clock.now().to_utc(), vec![born])?.into_iter().try_for_each(apply)?;
        }
        let mut stamps = Vec::new();
        contents.seen(|seen| {
            // Cards are looked at whenever they come; and what could not be read, in case that it can be now.
            if !seen.place.scheme().is_card() && seen.readable {
                stamps.push((seen.place.clone(), seen.stamp));
            }
            // A problem is not remembered, only that there was one: the first look tells it anew.
            let condition = match (seen.readable, seen.certificates.is_empty() && seen.place.scheme() == Scheme::Pkcs12) {
                (true, _) => Condition::Readable,
                (false, true) => Condition::Locked,
                (false, false) => Condition::Changed,
            };
            let found = |(certificate, key)| Found { certificate, key };
            let certificates: Vec<Found> = seen.certificates.into_iter().map(found).collect();
            world.observe(&seen.place, Some(Sight { condition, certificates }));
        })?;
        contents.checks(|certificate, checked| drop(world.note_check(certificate, checked)))?;
        contents.serve()?;
        let state = State { world, revision: 1, listing: None, clock };
        Ok(Self { state, journal, stamps, publish, notifiers, checks_due: Arc::default() })
    }

    /// What the places looked like from outside when they were last seen: for the surveyor, once.
    pub fn take_stamps(&mut self) -> Vec<(Place, Stamp)> {
        std::mem::take(&mut self.stamps)
    }

    /// What is told when certificates are to be looked at.
    pub fn checks_due(&self) -> Arc<Notify> {
        Arc::clone(&self.checks_due)
    }

    /// The world as replayed.
    pub fn world(&self) -> &World {
        &self.state.world
    }

    /// The world as replayed, for what is known from elsewhere before anything is served.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.state.world
    }

    /// Starts the engine; it runs until every handle is gone.
    pub fn start(self) -> Engine {
        let (requests, received) = mpsc::channel(64);
        let journal = self.journal.clone();
        tokio::spawn(run(self, received));
        Engine { requests, journal }
    }
}

impl Engine {
    /// Looks at the state.
    pub async fn read<T: Send + 'static>(&self, look: impl FnOnce(&mut State) -> T + Send + 'static) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let look: Read = Box::new(move |state| {
            // Whoever asked may have gone meanwhile.
            let _ = reply.send(look(state));
        });
        self.requests.send(Request::Read(look)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    /// Decides on records in view of the world, then appends, applies and publishes them, nothing coming in between.
    pub async fn write(
        &self,
        decide: impl FnOnce(&World, Now) -> Result<Vec<Record>, Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Write(Box::new(decide), reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Takes note of what was seen; the ids of the items concerned.
    pub async fn see(&self, sightings: Vec<Sighting>) -> Result<BTreeSet<ItemId>, Problem> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::See(sightings, reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    /// Forgets what was seen in places that nobody wants watched any more.
    pub async fn forget_unwatched(&self) -> Result<(), Problem> {
        let places = self.read(|state| state.world.unwatched()).await?;
        let gone = |place| Sighting { place, stamp: Stamp(0), sight: None, der: Vec::new() };
        self.see(places.into_iter().map(gone).collect()).await.map(drop)
    }

    /// A job cannot go on, and that could not be written into the journal; `None`: it tries again.
    pub async fn stall(&self, job: u64, problem: Option<Problem>) -> Result<(), Problem> {
        self.requests.send(Request::Stall(job, problem)).await.map_err(|_| stopping())
    }

    /// A card was taken up by itself: the person is told, and can undo it.
    pub async fn found(&self, card: Place) -> Result<(), Problem> {
        self.requests.send(Request::Tell(card, "found", Level::Notice)).await.map_err(|_| stopping())
    }

    /// A place needs its password: whoever owns it is told.
    pub async fn locked(&self, place: Place) -> Result<(), Problem> {
        self.requests.send(Request::Tell(place, "locked", Level::Warning)).await.map_err(|_| stopping())
    }

    /// These cards came, or hold something else than before; and these went.
    pub async fn cards_moved(&self, come: Vec<Place>, gone: Vec<Place>) -> Result<(), Problem> {
        if come.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.requests.send(Request::CardsMoved(come, gone)).await.map_err(|_| stopping())
    }

    /// From now on certificates are renewed by these programmes.
    pub async fn reprogramme(&self, programmes: Vec<Programme>) -> Result<(), Problem> {
        self.requests.send(Request::Reprogramme(programmes)).await.map_err(|_| stopping())
    }

    /// From now on other tools renew the certificates in these places.
    pub async fn renew_elsewhere(&self, places: BTreeMap<Place, Elsewhere>) -> Result<(), Problem> {
        self.requests.send(Request::RenewElsewhere(places)).await.map_err(|_| stopping())
    }

    /// Somebody who shows notices has come: warnings that nobody has seen may return.
    pub async fn greet(&self) -> Result<(), Problem> {
        self.requests.send(Request::Greet).await.map_err(|_| stopping())
    }

    /// The journal, for what needs no world: the log and the bytes of certificates.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

fn stopping() -> Problem {
    Problem::Internal { detail: "stopping".into() }
}

/// A journal failure as a person is told it.
pub fn journal_problem(error: &JournalError) -> Problem {
    match error {
        JournalError::Full(path) => Problem::JournalFull { path: path.display().to_string() },
        JournalError::Damaged { path, detail } => {
            Problem::JournalDamaged { path: path.display().to_string(), detail: detail.clone() }
        }
        JournalError::Newer(path) => Problem::JournalNewer { path: path.display().to_string() },
        JournalError::Unusable { path, source } => {
            Problem::StateUnusable { path: path.display().to_string(), detail: source.to_string() }
        }
        JournalError::Database { path, source } => {
            Problem::StateUnusable { path: path.display().to_string(), detail: source.to_string() }
        }
        other => Problem::Internal { detail: other.to_string() },
    }
}

async fn run(mut loaded: Loaded, mut requests: mpsc::Receiver<Request>) {
    let clock = Arc::clone(&loaded.state.clock);
    let mut last_look = clock.now();
    let mut wake = None;
    let mut look = true;
    loop {
        if look {
            let now = clock.now();
            loaded.warn(last_look, now).await;
            loaded.have_checked(now);
            // From this look on: what becomes due while something else is served is due at once.
            wake = loaded.state.world.next_wake(now);
            last_look = now;
        }
        tokio::select! {
            biased;
            request = requests.recv() => {
                let Some(request) = request else { return };
                stall::if_asked().await;
                look = loaded.serve(request).await;
            }
            () = clock.sleep(wake) => look = true,
        }
    }
}

impl Loaded {
    /// Serves one request; whether anything may be due now that was not.
    async fn serve(&mut self, request: Request) -> bool {
        match request {
            Request::Read(look) => {
                look(&mut self.state);
                false
            }
            Request::Write(decide, reply) => {
                let written = match decide(&self.state.world, self.state.now()) {
                    Ok(records) => self.append(records).await,
                    Err(problem) => Err(problem),
                };
                // Whoever asked may have gone meanwhile; what was written stays written.
                let _ = reply.send(written);
                true
            }
            Request::See(sightings, reply) => {
                let touched = self.see(sightings).await;
                let _ = reply.send(touched);
                true
            }
            Request::Tell(place, event, level) => {
                let now = self.state.now();
                let items = self.state.world.items_within(&place);
                // One notice for a card, however many certificates lie on it.
                if let Some(item) = items.into_iter().find(|item| self.state.world.item(*item, now).is_some()) {
                    self.say(Publication::Noticed(item, event, level));
                }
                false
            }
            Request::CardsMoved(come, gone) => {
                // One that is watched, or was seen, is shown as away.
                let world = &self.state.world;
                let shown = |card: &Place| world.places().any(|place| place == card) || world.is_watched(card);
                let (away, gone): (Vec<Place>, Vec<Place>) = gone.into_iter().partition(shown);
                let ids = |cards: Vec<Place>| cards.iter().map(|card| world.place_id(card)).collect::<Vec<ItemId>>();
                let (changed, gone) = (ids([come, away].concat()), ids(gone));
                self.tell(changed, gone);
                false
            }
            Request::Stall(job, problem) => {
                let touched = self.state.world.stall(job, problem);
                self.say(Publication::Job(job));
                self.tell_of_job(job);
                self.changed(touched);
                false
            }
            Request::Reprogramme(programmes) => {
                let touched = self.state.world.reprogramme(programmes);
                self.changed(touched);
                true
            }
            Request::RenewElsewhere(places) => {
                let touched = self.state.world.renew_elsewhere(places);
                self.changed(touched);
                true
            }
            Request::MailboxStands(address, standing) => {
                self.take_standing(&address, standing);
                false
            }
            Request::Checked(certificate, checked, reply) => {
                self.take_check(certificate, *checked).await;
                let _ = reply.send(());
                true
            }
            Request::Greet => {
                let returning = self.state.world.returning(self.state.now());
                self.announce(returning).await;
                let unfinished = |(_, job): &(u64, &obnova_core::Job)| !job.is_ended();
                self.state.world.jobs().filter(unfinished).for_each(|(number, _)| self.tell_of_job(number));
                false
            }
        }
    }

    async fn append(&mut self, records: Vec<Record>) -> Result<(), Problem> {
        if records.is_empty() {
            return Ok(());
        }
        let at = self.state.now().to_utc();
        let entries = self.journal.append(at, records).await.map_err(|error| journal_problem(&error))?;
        let mut touched = BTreeSet::new();
        for entry in &entries {
            let waited = |world: &World, job: &u64| world.job(*job).is_some_and(|job| matches!(job.phase, Phase::Waiting(..)));
            let brought = match &entry.record {
                Record::Job { job, what: JobEvent::Brought { .. } } => Some(*job).filter(|job| waited(&self.state.world, job)),
                _ => None,
            };
            self.state.world.apply(entry).map_err(|error| Problem::Internal { detail: error.to_string() })?;
            touched.extend(touched_by(entry, &self.state.world));
            if let Some(job) = brought.filter(|job| !waited(&self.state.world, job)) {
                self.say(Publication::Arrived(job));
            }
            if let Record::Job { job, .. } = &entry.record {
                self.say(Publication::Job(*job));
                self.tell_of_job(*job);
            }
        }
        self.changed(touched);
        Ok(())
    }

    async fn see(&mut self, sightings: Vec<Sighting>) -> BTreeSet<ItemId> {
        let mut touched = BTreeSet::new();
        let mut changes = Vec::with_capacity(sightings.len());
        let (mut replaced, mut locked) = (Vec::new(), BTreeSet::new());
        let places_before = self.state.world.place_items();
        for sighting in sightings {
            if sighting.sight.is_some() && self.state.world.is_excluded(&sighting.place) {
                continue;
            }
            let before = self.state.world.sight(&sighting.place);
            touched.extend(self.state.world.observe(&sighting.place, sighting.sight));
            let after = self.state.world.sight(&sighting.place);
            if let (Some(before), Some(after)) = (&before, &after) {
                // What a renewal puts there stands in the journal already.
                if !self.state.world.is_replacing(&sighting.place) {
                    replaced.extend(replacement(before, after, &sighting.place));
                }
                // Once, when it happens: not again at each start, and not where it may be opened without a question.
                if !self.state.world.is_openable(&sighting.place)
                    && before.condition != Condition::Changed
                    && after.condition == Condition::Changed
                {
                    locked.extend(self.state.world.items_within(&sighting.place));
                }
            }
            let seen = after.map(|sight| Seen {
                place: sighting.place.clone(),
                stamp: sighting.stamp,
                readable: sight.condition == Condition::Readable,
                certificates: sight.certificates.into_iter().map(|found| (found.certificate, found.key)).collect(),
            });
            changes.push(Remember { seen, place: sighting.place, der: sighting.der });
        }
        touched.extend(self.state.world.place_items().symmetric_difference(&places_before));
        if let Err(error) = self.journal.remember(changes).await {
            tracing::warn!(%error, "what was seen is not remembered; the places are read again at the next start");
        }
        if let Err(problem) = self.append(replaced).await {
            tracing::warn!(%problem, "a replaced certificate is not in the log");
        }
        self.changed(touched.clone());
        let now = self.state.now();
        // A place is no item of its own while its certificates are.
        for item in locked.intersection(&touched).filter(|item| self.state.world.item(**item, now).is_some()) {
            self.say(Publication::Noticed(*item, "locked", Level::Warning));
        }
        touched
    }

    /// Tells what has become due, and that items look otherwise by the passing of time alone.
    async fn warn(&mut self, last_look: Now, now: Now) {
        let turned = self.state.world.turned(last_look.to_utc(), now);
        self.changed(turned);
        self.start_what_starts_itself(now).await;
        let due = self.state.world.due(now);
        self.announce(due).await;
        // What was announced just now needs no letter to tell it once more.
        for tidings in self.state.world.tidings(now) {
            let shown = self.notifiers.load(std::sync::atomic::Ordering::Relaxed) > 0;
            if let Err(problem) = self.append(tidings.announced(shown)).await {
                tracing::error!(%problem, "what is told of a mail cannot be written down; it is told when that is possible again");
                continue;
            }
            tracing::info!(item = %tidings.item, what = tidings.word.as_str(), "told of a mail");
            self.say(Publication::Noticed(tidings.item, tidings.word.as_str(), tidings.level()));
        }
    }

    /// Starts the renewals that start by themselves. One that cannot be written down does not start: the warning comes instead.
    async fn start_what_starts_itself(&mut self, now: Now) {
        for start in self.state.world.starting(now) {
            let job = self.state.world.next_job();
            match self.append(vec![Record::Job { job, what: JobEvent::Started(Box::new(start)) }]).await {
                Ok(()) => self.say(Publication::Begun(job)),
                Err(problem) => tracing::error!(%problem, "a renewal does not start"),
            }
        }
    }

    /// Writes down that a person is told, then tells: a crash in between costs a notice, never doubles one; the notice
    /// counts as unseen and returns.
    async fn announce(&mut self, notices: Vec<obnova_core::world::Notice>) {
        if notices.is_empty() {
            return;
        }
        let shown = self.notifiers.load(std::sync::atomic::Ordering::Relaxed) > 0;
        let records = notices.iter().map(|notice| notice.announced(shown)).collect();
        if let Err(problem) = self.append(records).await {
            tracing::error!(%problem, "a warning cannot be written down; it is told all the same");
        }
        for notice in notices {
            // Where nobody sits, the log of the machine is where it is seen.
            tracing::warn!(item = %notice.item, threshold = %notice.threshold, "warned");
            tracing::debug!(item = %notice.item, name = %notice.name, not_after = %notice.not_after, "warned");
            self.say(Publication::Noticed(notice.item, notice.threshold.as_str(), notice.threshold.level()));
        }
    }

    /// Tells that a renewal has ended well or needs a person.
    fn tell_of_job(&self, number: u64) {
        let Some(job) = self.state.world.job(number) else { return };
        if job.phase == Phase::Done {
            self.say(Publication::Noticed(job.start.identity, "renewed", Level::Notice));
        } else if job.phase == Phase::Overtaken {
            self.say(Publication::Noticed(job.start.identity, "renewed-elsewhere", Level::Notice));
        } else if job.problem().is_some() {
            self.say(Publication::Noticed(job.start.identity, "problem", Level::Warning));
        }
    }

    fn changed(&mut self, touched: BTreeSet<ItemId>) {
        if touched.is_empty() {
            return;
        }
        let now = self.state.now();
        let (there, gone) = touched.into_iter().partition(|id| self.state.world.item(*id, now).is_some());
        self.tell(there, gone);
    }

    fn tell(&mut self, there: Vec<ItemId>, gone: Vec<ItemId>) {
        self.state.revision += 1;
        if !there.is_empty() {
            self.say(Publication::Changed(there, self.state.revision));
        }
        if !gone.is_empty() {
            self.say(Publication::Removed(gone));
        }
    }

    fn say(&self, publication: Publication) {
        // Without a bus (a rehearsal, a test of the engine alone) nobody listens.
        let _ = self.publish.send(publication);
    }
}
