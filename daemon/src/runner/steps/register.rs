//! Whoever uses the certificate learns of the new one. Telling them again does no harm, and is done after a crash.

use obnova_core::Problem;
use obnova_core::job::Outcome;
use obnova_core::programme::Consumer;

use super::{Ground, missing};
use crate::consumers::{self, Change, News};

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let news = news(ground).await?;
    for consumer in ground.programme().await?.consumers {
        if consumer.may_lag() {
            // It has tries of its own, and holds nothing up.
            consumers::tell_or_later(consumer, news.clone()).await;
        } else {
            consumers::tell(&consumer, &news).await?;
            tracing::info!(job = ground.number, kind = consumer.kind(), "told");
        }
    }
    Ok(Outcome::Register {})
}

/// Has those told who had not heard of this renewal, which is finished, when the daemon ended.
pub(in crate::runner) async fn catch_up(ground: &Ground<'_>) -> Result<(), Problem> {
    let programme = ground.programme().await?;
    let mut lagging = programme.consumers.into_iter().filter(Consumer::may_lag).peekable();
    if lagging.peek().is_none() {
        return Ok(());
    }
    let mut news = news(ground).await?;
    for consumer in lagging.filter(|consumer| consumers::is_news(consumer, &news)).collect::<Vec<_>>() {
        if let Some(place) = ground.preflight()?.0.first().map(|key| &key.place).filter(|place| place.scheme().is_card()) {
            // Only a look at them tells by which module it is reached.
            ground.tools.cards.matching(place).await.map_err(|error| ground.card_problem(&error, place))?;
            news.module = ground.tools.cards.module_for_others(place);
        }
        consumers::tell_or_later(consumer, news.clone()).await;
    }
    Ok(())
}

/// What there is to tell of a job whose certificates are in their places.
async fn news(ground: &Ground<'_>) -> Result<News, Problem> {
    let (keys, _) = ground.preflight()?;
    let place = keys.first().map(|key| &key.place);
    let files: Vec<String> = ground.job.made.iter().map(crate::bus::views::made).collect();
    let mut changes = Vec::new();
    for (member, old) in ground.job.start.old.iter().enumerate() {
        let new = ground.job.certificate(member).ok_or_else(|| missing(obnova_core::Step::Request))?.to_vec();
        changes.push(Change { old: ground.der_of(old).await?, new });
    }
    Ok(News {
        name: ground.job.start.name.clone(),
        place: place.map(ToString::to_string).unwrap_or_default(),
        files: files.join("\n"),
        changes,
        on_card: place.is_some_and(|place| place.scheme().is_card()),
        module: place.filter(|place| place.scheme().is_card()).and_then(|place| ground.tools.cards.module_for_others(place)),
    })
}
