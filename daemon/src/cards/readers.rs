//! The readers of this machine by PC/SC: which there are, which card is in which, and one step at one card as one transaction.
//! Owns the threads that wait for readers and cards; what a step is made of is `piv`'s, and what an insertion leads to is the
//! daemon's.
//!
//! One thread watches, in one blocking call without end; one for each reader does its transactions and sleeps otherwise. Where
//! no service runs, the kernel is asked to say when one comes. Nothing is polled.

mod holder;
mod pad;
mod service;
pub mod simulated;
mod transaction;
mod watcher;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use obnova_core::Place;
use obnova_core::card::Card;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::secrets::Secrets;
use super::step::{CardAnswer, CardError, CardStep};
use simulated::SimulatedReader;

/// How long another process may hold a card before that is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a step may take once it has the card. An RSA key of 4096 bits is a matter of luck: a minute is not rare.
const DEADLINE: Duration = Duration::from_mins(5);

/// What happened at the readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderEvent {
    /// A card is in this reader; it may be a new one, or have been there when the watch began.
    CardInserted {
        /// The reader's name.
        reader: String,
    },
    /// The card is gone from this reader, or the reader with it.
    CardRemoved {
        /// The reader's name.
        reader: String,
    },
    /// Another process has let the card go: what was [`Busy`](CardError::Busy) may be tried again.
    CardReleased {
        /// The reader's name.
        reader: String,
    },
    /// There is a service, for the first time or again. What is inserted follows.
    ServiceCame,
    /// There is none, or not any more. It is waited for.
    ServiceGone,
    /// There is one, but only for the session in front. That is waited for.
    NotInFront,
}

/// A reader, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// Whether a card is in it.
    pub inserted: bool,
    /// The card's place, once it was looked at and had one.
    pub place: Option<Place>,
    /// The card's answer to reset.
    pub atr: Vec<u8>,
    /// Another process holds the card for itself alone.
    pub held: bool,
}

/// Whether there is a card service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Yes.
    Running,
    /// No.
    Absent,
    /// Not for this session.
    NotInFront,
}

/// The readers. When it is dropped, the watch ends; a step that is under way is finished.
#[derive(Debug)]
pub struct Readers {
    shared: Arc<Shared>,
    source: Source,
    /// By reader. A step waits for its turn here before it counts as waiting for others.
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
}

/// Whose readers they are.
#[derive(Debug)]
enum Source {
    /// This machine's.
    Service(watcher::Watcher),
    /// Nobody's.
    Simulated(SimulatedReader),
}

/// What the watcher notes and everybody reads.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    events: mpsc::UnboundedSender<ReaderEvent>,
}

#[derive(Debug)]
struct State {
    service: Service,
    readers: BTreeMap<String, Seat>,
}

/// A reader, with a number that is another one for each card that came into it.
#[derive(Clone, Debug, Default)]
struct Seat {
    insertion: Option<u64>,
    place: Option<Place>,
    atr: Vec<u8>,
    held: bool,
}

/// One reader's thread, and the turns at it.
#[derive(Debug)]
struct Queue {
    turn: tokio::sync::Mutex<()>,
    jobs: Sender<Job>,
}

/// One step, on its way to a reader's thread.
struct Job {
    place: Option<Place>,
    step: CardStep,
    secrets: Secrets,
    claim: Arc<Claim>,
    answer: oneshot::Sender<Result<CardAnswer, CardError>>,
}

/// Who was first: the thread that has got the card, or whoever had no more patience.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    const OPEN: u8 = 0;
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn settle(&self, outcome: u8) -> bool {
        self.0.compare_exchange(Self::OPEN, outcome, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The step begins, unless it was given up.
    fn begin(&self) -> bool {
        self.settle(Self::BEGUN)
    }

    /// The step is given up, unless it has begun.
    fn give_up(&self) -> bool {
        self.settle(Self::GIVEN_UP)
    }
}

/// Gives a step up when nobody waits for it any more.
struct Waiting(Arc<Claim>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Readers {
    /// Begins to watch. Fails only where no thread or descriptor is to be had: without a service it waits for one.
    pub fn start() -> io::Result<(Self, mpsc::UnboundedReceiver<ReaderEvent>)> {
        let (events, received) = mpsc::unbounded_channel();
        let state = Mutex::new(State { service: Service::Absent, readers: BTreeMap::new() });
        let shared = Arc::new(Shared { state, events });
        let watcher = watcher::Watcher::start(Arc::clone(&shared))?;
        Ok((Self { shared, source: Source::Service(watcher), queues: Mutex::default() }, received))
    }

    /// One reader of software, in the place of all of the machine's.
    pub fn simulated(reader: &SimulatedReader) -> (Self, mpsc::UnboundedReceiver<ReaderEvent>) {
        let (events, received) = mpsc::unbounded_channel();
        let readers = BTreeMap::from([(simulated::NAME.to_owned(), Seat::default())]);
        let state = Mutex::new(State { service: Service::Running, readers });
        let shared = Arc::new(Shared { state, events });
        reader.tell(&shared);
        (Self { shared, source: Source::Simulated(reader.clone()), queues: Mutex::default() }, received)
    }

    /// Whether there is a card service.
    pub fn service(&self) -> Service {
        self.shared.lock().service
    }

    /// The readers and what is known of the cards in them.
    pub fn readers(&self) -> Vec<Reader> {
        let state = self.shared.lock();
        let reader = |(name, seat): (&String, &Seat)| Reader {
            name: name.clone(),
            inserted: seat.insertion.is_some(),
            place: seat.place.clone(),
            atr: seat.atr.clone(),
            held: seat.held,
        };
        state.readers.iter().map(reader).collect()
    }

    /// Looks at the card in a reader. [`Unsupported`](CardError::Unsupported) if it is no PIV card.
    pub async fn look(&self, reader: &str) -> Result<Card, CardError> {
        match self.ask(reader, None, CardStep::Look {}, Secrets::default()).await? {
            CardAnswer::Card { card } => Ok(*card),
            _ => Err(CardError::Failed { detail: "looking gave something else".to_owned() }),
        }
    }

    /// Takes one step at the card of this place, in whichever reader it is.
    ///
    /// Waits its turn behind other steps at the same reader, then a few seconds for other processes
    /// ([`Busy`](CardError::Busy)), then as long as the card needs, within bounds. Whoever drops the future before the card
    /// is had has it not begun; a step that has begun is finished.
    pub async fn perform(&self, place: &Place, step: CardStep, secrets: Secrets) -> Result<CardAnswer, CardError> {
        let known = self.seats(|seat| seat.place.as_ref() == Some(place));
        let unknown = self.seats(|seat| seat.place.is_none());
        for reader in known {
            match self.ask(&reader, Some(place), step.clone(), secrets.clone()).await {
                Err(CardError::Absent {}) => {}
                outcome => return outcome,
            }
        }
        let mut obstacle = None;
        for reader in unknown {
            match self.look(&reader).await {
                Ok(card) if card.place == *place => {
                    return self.ask(&reader, Some(place), step, secrets).await;
                }
                // Another's card, one of another kind, or none any more.
                Ok(_) | Err(CardError::Unsupported { .. } | CardError::Absent {} | CardError::Removed {}) => {}
                // It may have been this one.
                Err(error) => obstacle = Some(error),
            }
        }
        Err(match (self.service(), obstacle) {
            (_, Some(obstacle)) => obstacle,
            (Service::Running, None) => CardError::Absent {},
            (Service::NotInFront, None) => CardError::NotInFront {},
            (Service::Absent, None) => CardError::NoService { detail: "none runs".to_owned() },
        })
    }

    /// The readers with a card of which this holds.
    fn seats(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<String> {
        let state = self.shared.lock();
        let inserted = state.readers.iter().filter(|(_, seat)| seat.insertion.is_some() && wanted(seat));
        inserted.map(|(name, _)| name.clone()).collect()
    }

    async fn ask(
        &self,
        reader: &str,
        place: Option<&Place>,
        step: CardStep,
        secrets: Secrets,
    ) -> Result<CardAnswer, CardError> {
        let Some(insertion) = self.shared.insertion(reader) else { return Err(CardError::Absent {}) };
        let queue = self.queue(reader)?;
        let _turn = queue.turn.lock().await;
        let (answer, mut answered) = oneshot::channel();
        let claim = Arc::new(Claim::default());
        let waiting = Waiting(Arc::clone(&claim));
        let ended = || CardError::Failed { detail: "the reader's thread has ended".to_owned() };
        let job = Job { place: place.cloned(), step, secrets, claim, answer };
        queue.jobs.send(job).map_err(|_| ended())?;
        let outcome = match timeout(PATIENCE, &mut answered).await {
            Ok(outcome) => outcome.map_err(|_| ended())?,
            Err(_) if waiting.0.give_up() => return Err(CardError::Busy { program: holder::elsewhere().await }),
            Err(_) => match timeout(DEADLINE, answered).await {
                Ok(outcome) => outcome.map_err(|_| ended())?,
                Err(_) => return Err(CardError::Failed { detail: format!("no answer within {DEADLINE:?}") }),
            },
        };
        if let (Err(CardError::Absent {}), Some(place)) = (&outcome, place) {
            self.shared.disown(reader, place);
        }
        let mut answer = outcome?;
        if let CardAnswer::Card { card } = &mut answer {
            reader.clone_into(&mut card.reader);
            self.shared.settle(reader, insertion, &card.place);
        }
        Ok(answer)
    }

    /// The queue of a reader, and with it its thread: both live until the readers are dropped.
    fn queue(&self, reader: &str) -> Result<Arc<Queue>, CardError> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(reader) {
            return Ok(Arc::clone(queue));
        }
        let (jobs, received) = channel();
        let thread = std::thread::Builder::new().name("card reader".to_owned());
        let spawned = match &self.source {
            Source::Service(watcher) => {
                let (name, control, events) = (reader.to_owned(), watcher.control(), self.shared.events.clone());
                thread.spawn(move || transaction::serve(&name, &received, &control, &events))
            }
            Source::Simulated(reader) => {
                let reader = reader.clone();
                thread.spawn(move || reader.serve(&received))
            }
        };
        spawned.map_err(|error| CardError::Failed { detail: format!("no thread for the reader: {error}") })?;
        let queue = Arc::new(Queue { turn: tokio::sync::Mutex::default(), jobs });
        queues.insert(reader.to_owned(), Arc::clone(&queue));
        Ok(queue)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        if let Source::Service(watcher) = &mut self.source {
            watcher.stop();
        }
    }
}

impl Shared {
    /// Whoever panicked while holding it has left nothing half done: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insertion(&self, reader: &str) -> Option<u64> {
        self.lock().readers.get(reader)?.insertion
    }

    /// Notes whose card it is, if it is still the one that was looked at.
    fn settle(&self, reader: &str, insertion: u64, place: &Place) {
        let mut state = self.lock();
        if let Some(seat) = state.readers.get_mut(reader).filter(|seat| seat.insertion == Some(insertion)) {
            seat.place = Some(place.clone());
        }
    }

    /// Another card is there than was thought.
    fn disown(&self, reader: &str, place: &Place) {
        let mut state = self.lock();
        if let Some(seat) = state.readers.get_mut(reader).filter(|seat| seat.place.as_ref() == Some(place)) {
            seat.place = None;
        }
    }

    /// Nobody may listen any more: then nobody is told.
    fn tell(&self, event: ReaderEvent) {
        if self.events.send(event).is_err() {
            tracing::debug!("nobody listens to the readers any more");
        }
    }
}
