//! Whoever uses the certificate learns of the new one. Telling them again does no harm, and is done after a crash.

use obnova_core::Problem;
use obnova_core::job::Outcome;

use super::Ground;
use crate::consumers::{self, News};

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let (keys, _) = ground.preflight()?;
    let place = keys.first().map(|key| key.place.to_string()).unwrap_or_default();
    let files: Vec<String> = ground.job.made.iter().map(crate::bus::views::made).collect();
    let news = News { name: &ground.job.start.name, place: &place, files: &files.join("\n") };
    for consumer in &ground.programme().await?.consumers {
        consumers::tell(consumer, &news).await?;
        tracing::info!(job = ground.number, kind = consumer.kind(), "told");
    }
    Ok(Outcome::Register {})
}
