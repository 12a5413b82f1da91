//! Hears from PKCS#11 modules that tokens came or went, where no card service tells: modules whose slots are no readers of it. Looks
//! at no token, and asks no module twice at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Cards;
use super::modules::Module;

/// How long a module is left alone after it has told something: longer each time while it does nothing else.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// Who listens to the modules, and what they are told.
pub(super) struct Slots {
    tell: mpsc::Sender<()>,
    told: mpsc::Receiver<()>,
    listeners: JoinSet<()>,
    /// Those that are listened to.
    modules: Arc<[Module]>,
}

impl Slots {
    /// Nobody listens yet.
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(1);
        Self { tell, told, listeners: JoinSet::new(), modules: Arc::default() }
    }

    /// Begins to listen to every module, unless that has begun with these.
    pub(super) fn listen(&mut self, cards: &Cards) {
        let modules = cards.modules();
        if self.listeners.is_empty() || modules != self.modules {
            self.cease();
            self.modules = modules;
            for module in self.modules.iter() {
                self.listeners.spawn(listen(cards.clone(), module.clone(), self.tell.clone()));
            }
        }
    }

    /// Nobody is interested any more.
    pub(super) fn cease(&mut self) {
        // Dropping them aborts them; what was only aborted would still count as listening.
        self.listeners = JoinSet::new();
    }

    /// Ready when tokens have come or gone.
    pub(super) async fn moved(&mut self) {
        // We hold a sender ourselves: this never ends.
        if self.told.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens for as long as the module has something to tell, asleep meanwhile.
async fn listen(cards: Cards, module: Module, tell: mpsc::Sender<()>) {
    let (shortest, longest) = PAUSES;
    let mut pause = shortest;
    loop {
        let readers = cards.readers.as_ref().map(|readers| readers.readers()).unwrap_or_default();
        let readers = readers.into_iter().map(|reader| reader.name).collect();
        let shown = cards.shown().get(&module).cloned().unwrap_or_default();
        let since = Instant::now();
        match cards.helper.tokens_moved(&module, shown, readers).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::info!(module = %module.path.display(), %error, "a module tells no more of its slots");
                return;
            }
        }
        if tell.send(()).await.is_err() {
            return;
        }
        pause = if since.elapsed() < longest { (pause * 2).min(longest) } else { shortest };
        tokio::time::sleep(pause / 2).await;
    }
}
