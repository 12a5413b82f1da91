//! Hears when the person comes back to the screen: warnings that nobody has seen may return then. What returns, and how often, is the
//! core's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::select_all;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use crate::engine::Engine;

/// Who says `ActiveChanged(false)` when a screen is unlocked, one for each family of desktops.
const SAVERS: [&str; 5] = [
    "org.freedesktop.ScreenSaver",
    "org.gnome.ScreenSaver",
    "org.cinnamon.ScreenSaver",
    "org.mate.ScreenSaver",
    "org.xfce.ScreenSaver",
];

/// Greets whoever unlocks the screen while somebody is there who shows notices. Ends with the connection or the engine.
pub(crate) async fn greet_at_unlock(connection: Connection, engine: Engine, notifiers: Arc<AtomicUsize>) -> zbus::Result<()> {
    let mut streams = Vec::with_capacity(SAVERS.len());
    for saver in SAVERS {
        let rule = MatchRule::builder().msg_type(Type::Signal).interface(saver)?.member("ActiveChanged")?.build();
        streams.push(MessageStream::for_match_rule(rule, &connection, None).await?);
    }
    let mut said = select_all(streams);
    while let Some(message) = said.next().await {
        let unlocked = message?.body().deserialize::<bool>().is_ok_and(|active| !active);
        if unlocked && notifiers.load(Ordering::Relaxed) > 0 && engine.greet().await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
