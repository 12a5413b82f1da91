//! Who must learn of a new certificate: one module for each kind, one line in the table. Who could not be told, and does not hold up
//! the renewal, is told later.

use std::time::Duration;

use obnova_core::Problem;
use obnova_core::programme::Consumer;

use crate::cards::modules::Module;

mod hook;
pub(crate) mod nss;

/// How long is waited before each further try; the last is repeated.
const PAUSES: [Duration; 5] = [
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];

/// How often one is told again who could not be told. Afterwards `doctor` still says so.
const TRIES: usize = 30;

/// What they are told.
#[derive(Clone, Debug)]
pub(crate) struct News {
    /// The name of the certificate.
    pub(crate) name: String,
    /// The place of the new one, as an URI.
    pub(crate) place: String,
    /// The files that are new, one to a line.
    pub(crate) files: String,
    /// Each certificate that has taken another's place.
    pub(crate) changes: Vec<Change>,
    /// They lie on a card or token.
    pub(crate) on_card: bool,
    /// By what other programs reach it, where that is known.
    pub(crate) module: Option<Module>,
}

/// A certificate in the place of another.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// DER of the other.
    pub(crate) old: Vec<u8>,
    /// Its own.
    pub(crate) new: Vec<u8>,
}

/// Tells one of them; may be repeated.
pub(crate) async fn tell(consumer: &Consumer, news: &News) -> Result<(), Problem> {
    match consumer {
        Consumer::Hook { command } => hook::tell(command, news).await,
        Consumer::Nss {} => nss::tell(news).await,
    }
}

/// Whether one that may lag is still to be told.
pub(crate) fn is_news(consumer: &Consumer, news: &News) -> bool {
    match consumer {
        Consumer::Hook { .. } => false,
        Consumer::Nss {} => nss::is_news(news),
    }
}

/// Tells one that may lag; if it does, it is told again later, until it has heard.
pub(crate) async fn tell_or_later(consumer: Consumer, news: News) {
    match tell(&consumer, &news).await {
        Ok(()) => tracing::info!(kind = consumer.kind(), "told"),
        Err(problem) => {
            tracing::warn!(kind = consumer.kind(), %problem, "not told yet");
            tokio::spawn(tell_later(consumer, news));
        }
    }
}

async fn tell_later(consumer: Consumer, news: News) {
    let pauses = PAUSES.into_iter().chain(std::iter::repeat(PAUSES[PAUSES.len() - 1]));
    for pause in pauses.take(TRIES) {
        tokio::time::sleep(pause).await;
        match tell(&consumer, &news).await {
            Ok(()) => return tracing::info!(kind = consumer.kind(), "told at last"),
            Err(problem) => tracing::debug!(kind = consumer.kind(), %problem, "still not told"),
        }
    }
}
