//! The new certificates reach us: all of a pair, or none. Whether they are what was asked for is judged by the next step.

use obnova_core::Problem;
use obnova_core::job::{Bytes, Outcome};

use super::Ground;

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let certificates = ground.authority().await?.fetch(ground.order()?).await?;
    let (got, asked) = (certificates.len(), ground.job.start.old.len());
    if got != asked {
        return Err(Problem::AuthorityRefused { reason: format!("{got} / {asked}") });
    }
    Ok(Outcome::Fetch { certificates: certificates.into_iter().map(Bytes).collect() })
}
