//! The thread that waits for readers and cards to come and go, and for the service itself. It ends when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};
use rustix::event::{EventfdFlags, eventfd};

use super::service::Signs;
use super::{ReaderEvent, Seat, Service, Shared};

/// How long one wait lasts where nothing happens: libpcsclite wakes every minute from an endless one, and takes milliseconds
/// as a signed number of 32 bits.
const LONG: Duration = Duration::from_hours(20 * 24);

/// The first wait after something has happened. A reader that comes between being listed and being waited for is not
/// reported by pcsc-lite before version 2, so after this the readers are listed once more.
const SHORT: Duration = Duration::from_secs(1);

/// A service that lasts less long than this is not taken up at once again.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// How often the thread is asked for something, and for how long in all before it is left to itself.
const ASKED_EVERY: Duration = Duration::from_millis(10);
const ASKED_FOR: Duration = Duration::from_secs(2);

/// The thread, and the means to end it.
#[derive(Debug)]
pub(super) struct Watcher {
    control: Arc<Control>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Each change behind these locks is one assignment: whoever panicked has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the thread is told to end, or to look again, whatever it waits for.
pub(super) struct Control {
    ended: AtomicBool,
    /// Readable when asked.
    bell: OwnedFd,
    context: Mutex<Option<Context>>,
    /// The readers whose card was found to be held by others.
    doubts: Mutex<BTreeSet<String>>,
    settled: Condvar,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Control {
    /// Has the thread look who holds the card in this reader, and tell when it is let go: it is not woken by a card that is
    /// taken, and so would not notice.
    pub(super) fn doubt(&self, reader: &str) {
        let mut doubts = lock(&self.doubts);
        doubts.insert(reader.to_owned());
        let began = Instant::now();
        while doubts.contains(reader) && began.elapsed() < ASKED_FOR {
            drop(doubts);
            self.cancel();
            let waited = self.settled.wait_timeout(lock(&self.doubts), ASKED_EVERY);
            doubts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        if let Err(error) = rustix::io::write(&self.bell, &1_u64.to_ne_bytes()) {
            tracing::debug!(%error, "the watch of the readers was not woken");
        }
    }

    /// A wait that begins only now is not cancelled: whoever asks does so again.
    fn cancel(&self) {
        if let Some(context) = &*lock(&self.context)
            && let Err(error) = context.cancel()
        {
            tracing::debug!(%error, "the wait for readers was not cancelled");
        }
    }

    fn set_context(&self, context: Option<Context>) {
        *lock(&self.context) = context;
    }
}

impl Watcher {
    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = Arc::new(Control {
            ended: AtomicBool::new(false),
            bell,
            context: Mutex::default(),
            doubts: Mutex::default(),
            settled: Condvar::new(),
        });
        let (alive, ended) = channel();
        let watch = Watch { shared, control: Arc::clone(&control), insertions: 0, _alive: alive };
        let thread = std::thread::Builder::new().name("card readers".to_owned()).spawn(move || watch.run())?;
        Ok(Self { control, ended: Mutex::new(ended), thread: Some(thread) })
    }

    /// Ends the thread. Should the service hang, the thread is left behind.
    pub(super) fn stop(&mut self) {
        self.control.end();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        while began.elapsed() < ASKED_FOR {
            self.control.cancel();
            if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(ASKED_EVERY) {
                if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
                    tracing::error!("the watch of the readers ended in a panic");
                }
                return;
            }
        }
        tracing::warn!("the card service does not let go of us");
    }
}

struct Watch {
    shared: Arc<Shared>,
    control: Arc<Control>,
    insertions: u64,
    _alive: Sender<()>,
}

impl Watch {
    fn run(mut self) {
        let mut signs = None;
        while !self.control.has_ended() {
            match Context::establish(Scope::System) {
                Ok(context) => {
                    self.enter(Service::Running, ReaderEvent::ServiceCame);
                    let began = Instant::now();
                    self.control.set_context(Some(context.clone()));
                    let error = self.watch(&context);
                    self.control.set_context(None);
                    self.leave();
                    if self.control.has_ended() {
                        return;
                    }
                    tracing::info!(%error, "the card service has gone");
                    self.enter(Service::Absent, ReaderEvent::ServiceGone);
                    // One that dies as soon as it is spoken to is given up after a few times.
                    if began.elapsed() >= SHORT_LIFE {
                        signs.iter_mut().for_each(Signs::was_good);
                    }
                }
                Err(Error::SecurityViolation) => self.enter(Service::NotInFront, ReaderEvent::NotInFront),
                Err(error) => {
                    tracing::debug!(%error, "no card service");
                    self.enter(Service::Absent, ReaderEvent::ServiceGone);
                }
            }
            let waited = match &mut signs {
                Some(signs) => signs.wait(&self.control.bell),
                none => Signs::watch().and_then(|fresh| none.insert(fresh).wait(&self.control.bell)),
            };
            if let Err(error) = waited {
                // Without the kernel's help there is no quiet way to wait.
                tracing::error!(%error, "the card service cannot be waited for; cards are not noticed any more");
                return;
            }
        }
    }

    /// Notes how it stands with the service, and tells it if that is news.
    fn enter(&self, service: Service, event: ReaderEvent) {
        let before = std::mem::replace(&mut self.shared.lock().service, service);
        if before != service {
            self.shared.tell(event);
        }
    }

    /// Every reader is gone with the service.
    fn leave(&self) {
        let readers = std::mem::take(&mut self.shared.lock().readers);
        for (reader, seat) in readers {
            if seat.insertion.is_some() {
                self.shared.tell(ReaderEvent::CardRemoved { reader });
            }
        }
    }

    /// Waits for changes until the service fails, and says how it did.
    fn watch(&mut self, context: &Context) -> Error {
        let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
        let mut counts = BTreeMap::new();
        let mut patience = SHORT;
        loop {
            if let Err(error) = self.list(context, &mut states, &mut counts) {
                return error;
            }
            if !lock(&self.control.doubts).is_empty() {
                // Asked anew, each reader says at once how it is.
                for state in &mut states[1..] {
                    *state = ReaderState::new(state.name().to_owned(), State::UNAWARE);
                }
            }
            let outcome = context.get_status_change(patience, &mut states);
            if self.control.has_ended() {
                return Error::Cancelled;
            }
            patience = if outcome == Err(Error::Timeout) { LONG } else { SHORT };
            match outcome {
                Ok(()) => {
                    for state in &mut states {
                        state.sync_current_state();
                    }
                    for state in &states[1..] {
                        self.note(state, &mut counts);
                    }
                }
                // Somebody doubts; or a reader went between being listed and being waited for. The states say nothing now.
                Err(Error::Timeout | Error::Cancelled | Error::UnknownReader | Error::ReaderUnavailable) => {}
                Err(error) => return error,
            }
        }
    }

    /// Brings the list of what is waited for up to the readers that there are.
    fn list(&self, context: &Context, states: &mut Vec<ReaderState>, counts: &mut BTreeMap<CString, u32>) -> Result<(), Error> {
        let present: BTreeSet<CString> = context.list_readers_owned()?.into_iter().collect();
        states.retain(|state| state.name() == PNP_NOTIFICATION() || present.contains(state.name()));
        counts.retain(|name, _| present.contains(name));
        for name in &present {
            if !states.iter().any(|state| state.name() == name.as_c_str()) {
                states.push(ReaderState::new(name.clone(), State::UNAWARE));
            }
        }
        let names: BTreeSet<String> = present.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let mut gone = Vec::new();
        let mut state = self.shared.lock();
        state.readers.retain(|name, seat| {
            let stays = names.contains(name);
            if !stays && seat.insertion.is_some() {
                gone.push(name.clone());
            }
            stays
        });
        for name in names {
            state.readers.entry(name).or_default();
        }
        drop(state);
        for reader in gone {
            self.shared.tell(ReaderEvent::CardRemoved { reader });
        }
        Ok(())
    }

    /// Notes what a reader's state says, and tells what is new. The count of events shows also a card that was pulled and
    /// put back between two looks.
    fn note(&mut self, state: &ReaderState, counts: &mut BTreeMap<CString, u32>) {
        let flags = state.event_state();
        let inserted = flags.contains(State::PRESENT);
        let held = flags.contains(State::EXCLUSIVE);
        let reader = state.name().to_string_lossy().into_owned();
        let count = counts.insert(state.name().to_owned(), state.event_count());
        let moved = count.is_some_and(|count| count != state.event_count());
        let doubted = lock(&self.control.doubts).remove(&reader);
        if doubted {
            self.control.settled.notify_all();
        }
        let mut events = Vec::new();
        let mut shared = self.shared.lock();
        let seat = shared.readers.entry(reader.clone()).or_default();
        let was = seat.insertion.is_some();
        if was && (!inserted || moved) {
            events.push(ReaderEvent::CardRemoved { reader: reader.clone() });
            *seat = Seat::default();
        }
        if inserted && (!was || moved) {
            self.insertions += 1;
            *seat = Seat { insertion: Some(self.insertions), place: None, atr: state.atr().to_vec(), held };
            events.push(ReaderEvent::CardInserted { reader });
        } else if inserted && !held && (seat.held || doubted) {
            events.push(ReaderEvent::CardReleased { reader });
        }
        seat.held = held && inserted;
        drop(shared);
        for event in events {
            self.shared.tell(event);
        }
    }
}
