//! A reader of software, with a card of software in it. Stands in for the thread that would speak with a card, and for the one that
//! would see it come and go; everything else is as at a real reader.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Job, ReaderEvent, Seat, Shared};
use crate::cards::piv;
use crate::cards::piv::simulated::SimulatedCard;
use crate::cards::step::{CardAnswer, CardError};

/// What it is called.
pub(super) const NAME: &str = "Simulated reader";

/// The reader and its card. Outlives the daemon that uses it; clones are the same one.
#[derive(Clone, Debug)]
pub struct SimulatedReader(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    card: SimulatedCard,
    insertions: u64,
    /// Who is told what happens here: the daemon that runs now.
    told: Weak<Shared>,
}

impl SimulatedReader {
    /// With this card in it, if that is present.
    pub fn new(card: SimulatedCard) -> Self {
        Self(Arc::new(Mutex::new(Inside { card, insertions: 0, told: Weak::new() })))
    }

    /// Touches the card as another process would: while no step holds it.
    pub fn at_card<T>(&self, touch: impl FnOnce(&mut SimulatedCard) -> T) -> T {
        touch(&mut self.lock().card)
    }

    /// Pulls the card.
    pub fn pull(&self) {
        let mut inside = self.lock();
        inside.card.pull();
        inside.left();
    }

    /// Inserts it again; nothing goes wrong with it any more.
    pub fn insert(&self) {
        let mut inside = self.lock();
        inside.card.reinsert();
        inside.came();
    }

    /// Whom it tells from now on what happens; of a card that is there, at once.
    pub(super) fn tell(&self, shared: &Arc<Shared>) {
        let mut inside = self.lock();
        inside.told = Arc::downgrade(shared);
        if inside.card.present {
            inside.came();
        }
    }

    /// Takes the steps that come, until nobody can send any more.
    pub(super) fn serve(&self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let Some(answer) = self.transact(&job) else { continue };
            if job.answer.send(answer).is_err() {
                tracing::debug!("nobody waits for a card's answer any more");
            }
        }
    }

    /// `None` if the step was given up before the card was had.
    fn transact(&self, job: &Job) -> Option<Result<CardAnswer, CardError>> {
        let mut inside = self.lock();
        if !inside.card.present {
            return Some(Err(CardError::Absent {}));
        }
        if !job.claim.begin() {
            return None;
        }
        let answer = piv::perform(&mut inside.card, job.place.as_ref(), &job.step, &job.secrets);
        if !inside.card.present {
            inside.left();
        }
        Some(answer)
    }

    /// Whoever panicked while holding it has left a card that is as good as one that was pulled.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn came(&mut self) {
        self.insertions += 1;
        let seat = Seat { insertion: Some(self.insertions), ..Seat::default() };
        self.set(seat, ReaderEvent::CardInserted { reader: NAME.to_owned() });
    }

    fn left(&self) {
        self.set(Seat::default(), ReaderEvent::CardRemoved { reader: NAME.to_owned() });
    }

    fn set(&self, seat: Seat, event: ReaderEvent) {
        let Some(shared) = self.told.upgrade() else { return };
        shared.lock().readers.insert(NAME.to_owned(), seat);
        shared.tell(event);
    }
}
