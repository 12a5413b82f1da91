//! The authority issues, at once or after approval and payment. Asking it changes nothing.

use obnova_core::Problem;
use obnova_core::job::{Bytes, Outcome};

use super::Ground;
use crate::authorities::Progress;

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    // Handed over already.
    if ground.job.issued().is_some() {
        return Ok(Outcome::AwaitIssue { issued: Vec::new() });
    }
    match ground.authority().await?.progress(ground.order()?).await? {
        // What can be fetched again is fetched again: if what comes is not right, it may be so later.
        Progress::Issued(_) => Ok(Outcome::AwaitIssue { issued: Vec::<Bytes>::new() }),
        Progress::Waits(problem) => Err(problem),
    }
}
