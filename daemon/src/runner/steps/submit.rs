//! The requests reach the authority: all of a pair, or none. Sent again only byte for byte the same, and only after the authority
//! was asked whether it has them.

use obnova_core::Fingerprint;
use obnova_core::Problem;
use obnova_core::job::{Intent, Outcome};

use super::{Answer, Ground};

pub(super) fn prepare(ground: &Ground<'_>) -> Intent {
    Intent::Submit { sha256: Fingerprint::of(&ground.job.messages().concat()) }
}

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let order = ground.authority().await?.submit(&ground.job.messages()).await?;
    Ok(Outcome::Submit { order })
}

pub(super) async fn probe(ground: &Ground<'_>) -> Answer {
    let authority = match ground.authority().await {
        Ok(authority) => authority,
        Err(problem) => return Answer::Unknown(problem),
    };
    match authority.order_of(&ground.job.messages()).await {
        Ok(Some(order)) => Answer::Happened(Outcome::Submit { order }),
        Ok(None) => Answer::NotYet,
        Err(problem) => Answer::Unknown(problem),
    }
}
