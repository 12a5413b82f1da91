//! What the daemon tells everybody, as it was heard on the bus.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

use crate::{Bus, eventually};

/// A person should be told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The item.
    pub id: String,
    /// The kind of event.
    pub event: String,
    /// How much it matters.
    pub level: String,
}

#[derive(Default)]
struct Heard {
    notices: Vec<Notice>,
    changed: Vec<String>,
    removed: Vec<String>,
}

/// A listener, over every restart of the daemon.
pub struct News {
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
}

impl News {
    /// Listens from now on.
    pub async fn on(bus: &Bus) -> Self {
        let connection = bus.connect().await;
        let rule = MatchRule::builder().msg_type(Type::Signal).interface("org.obnova.Manager1").expect("an interface").build();
        let mut stream = MessageStream::for_match_rule(rule, &connection, Some(4096)).await.expect("a stream");
        let heard = Arc::<Mutex<Heard>>::default();
        let hearing = Arc::clone(&heard);
        let listening = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let (header, body) = (message.header(), message.body());
                let mut heard = lock(&hearing);
                match header.member().map(zbus::names::MemberName::as_str) {
                    Some("Noticed") => {
                        let (id, event, level) = body.deserialize().expect("id, event, level");
                        heard.notices.push(Notice { id, event, level });
                    }
                    Some("Changed") => {
                        let (ids, _): (Vec<String>, u64) = body.deserialize().expect("ids and a revision");
                        heard.changed.extend(ids);
                    }
                    Some("Removed") => heard.removed.extend(body.deserialize::<Vec<String>>().expect("ids")),
                    other => panic!("a signal {other:?} that is not in the contract"),
                }
            }
        });
        Self { heard, listening }
    }

    /// The notices so far.
    pub fn notices(&self) -> Vec<Notice> {
        lock(&self.heard).notices.clone()
    }

    /// The events of the notices so far.
    pub fn events(&self) -> Vec<String> {
        self.notices().into_iter().map(|notice| notice.event).collect()
    }

    /// Waits until an item has been named in `Changed`, from the start of listening on or the last [`News::forget`].
    pub async fn changed(&self, id: &str) {
        eventually("a signal Changed", async || lock(&self.heard).changed.iter().any(|changed| changed == id).then_some(()))
            .await;
    }

    /// Waits until an item has been named in `Removed`.
    pub async fn removed(&self, id: &str) {
        eventually("a signal Removed", async || lock(&self.heard).removed.iter().any(|removed| removed == id).then_some(()))
            .await;
    }

    /// Waits until so many notices have come.
    pub async fn count(&self, count: usize) -> Vec<Notice> {
        eventually(&format!("{count} notices"), async || Some(self.notices()).filter(|notices| notices.len() >= count)).await
    }

    /// Forgets what was heard.
    pub fn forget(&self) {
        *lock(&self.heard) = Heard::default();
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
