//! What can be made to go wrong at a card in software.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::Notify;

/// What comes instead of an answer; `after`: once the command has been executed.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The card is pulled.
    Pulled {
        /// After the command.
        after: bool,
    },
    /// The reader fails.
    Broken {
        /// After the command.
        after: bool,
    },
    /// The card says this.
    Says {
        /// After the command.
        after: bool,
        /// Data and status word.
        answer: Vec<u8>,
    },
    /// Nothing comes until the hang is over; then the card is without power, as when the process that held it has ended.
    Hangs {
        /// After the command.
        after: bool,
        /// When it is over.
        hang: Hang,
    },
}

impl Fault {
    pub(super) fn after(&self) -> bool {
        match self {
            Self::Pulled { after } | Self::Broken { after } | Self::Says { after, .. } | Self::Hangs { after, .. } => *after,
        }
    }
}

/// A card that does not answer, and somebody who knows it. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Hang {
    reached: Arc<Notify>,
    over: Arc<(Mutex<bool>, Condvar)>,
}

impl Hang {
    /// Ready once the card has ceased to answer. For one waiter.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Ends it.
    pub fn end(&self) {
        let (over, told) = &*self.over;
        *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
    }

    pub(super) fn wait(&self) {
        self.reached.notify_one();
        let (over, told) = &*self.over;
        let over = over.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever panicked while holding it has left a whole value: it is one.
        drop(told.wait_while(over, |over| !*over).unwrap_or_else(PoisonError::into_inner));
    }
}
