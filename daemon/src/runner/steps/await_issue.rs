//! The authority issues, at once or after approval and payment. Asking it changes nothing.

use obnova_core::job::{Bytes, Outcome};
use obnova_core::{Problem, Step};

use super::submit::{keep, kept};
use super::{Answer, Ground, elsewhere};
use crate::authorities::{Issuer, Progress, est};
use crate::runner::sitting::Sitting;

/// What the authority handed over: an outcome as the journal holds them.
const ISSUED_FILE: &str = "issued.json";

pub(super) async fn perform(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    if !ground.job.start.plan.makes_keys() {
        return elsewhere::await_made(ground).await;
    }
    let (authority, order) = (ground.authority().await?, ground.order()?);
    // Handed over already, or brought by a mail or a person. EST hands over only when it is asked here.
    let brought = ground.job.is_brought_whole() && !matches!(authority, Issuer::Est { .. });
    if ground.job.issued().is_some() || brought {
        return Ok(Outcome::AwaitIssue { issued: Vec::new() });
    }
    let Issuer::Est { remote, .. } = &authority else {
        return match authority.progress(order).await? {
            // What can be fetched again is fetched again: if what comes is not right, it may be so later.
            Progress::Issued(_) => Ok(Outcome::AwaitIssue { issued: Vec::new() }),
            Progress::Waits(problem) => Err(problem),
        };
    };
    if let Some(problem) = est::too_soon(remote, order, ground.tools.clock.now().to_utc()) {
        return Err(problem);
    }
    ground.open_old(sitting).await?;
    let answer = ground.enrol(remote, sitting).await.map_err(|failed| failed.problem)?;
    match est::progress(remote, &answer)? {
        Progress::Issued(issued) => {
            let outcome = Outcome::AwaitIssue { issued: issued.into_iter().map(Bytes).collect() };
            keep(ground, ISSUED_FILE, &outcome)?;
            Ok(outcome)
        }
        Progress::Waits(problem) => Err(problem),
    }
}

pub(super) fn probe(ground: &Ground<'_>) -> Answer {
    kept(ground, ISSUED_FILE, Step::AwaitIssue).unwrap_or(Answer::NotYet)
}
