//! Goes round the certificates that are due, one after the other, and hands to the engine what it finds out. When they are due is the
//! world's to know; nothing here has a timer.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use obnova_core::revocation::{Checked, Reach, Why};
use obnova_core::{Certificate, Fingerprint, Problem};
use tokio::sync::Notify;

use super::{Examined, Examiner, Round, Subject};
use crate::engine::{Engine, State, journal_problem};
use crate::random;

/// How much later than it would be due a certificate is looked at again, at the most: so that not all machines ask at the same moment.
const SPREAD: TimeDelta = TimeDelta::hours(4);

/// How many certificates above one are looked for among those that are known.
const HIGHEST: usize = 8;

/// Goes round whenever some are due, for as long as the engine serves.
pub(crate) async fn rounds(engine: Engine, examiner: Examiner, due: Arc<Notify>) -> Result<(), Problem> {
    loop {
        due.notified().await;
        let certificates = engine.read(|state| state.world.to_check(state.now())).await?;
        if certificates.is_empty() {
            continue;
        }
        let (mut round, spread) = (Round::default(), random::within(SPREAD));
        for certificate in certificates {
            look(&engine, &examiner, certificate, &mut round, spread).await?;
        }
        drop(round);
        // It is nothing for a day now.
        if let Err(error) = obnova_secret::footprint::settle() {
            tracing::debug!(%error, "what only the round needed stays in memory");
        }
    }
}

/// Finds out about one.
async fn look(
    engine: &Engine,
    examiner: &Examiner,
    certificate: Fingerprint,
    round: &mut Round,
    spread: TimeDelta,
) -> Result<(), Problem> {
    let read = move |state: &mut State| (state.world.checked(&certificate).cloned(), state.now().to_utc());
    let (before, at) = engine.read(read).await?;
    let found = match examine(engine, examiner, certificate, at, round).await {
        Ok(Some(found)) => Some(found),
        // It has gone meanwhile.
        Ok(None) => return Ok(()),
        Err(problem) => {
            tracing::warn!(%problem, "it was not found out what became of a certificate");
            None
        }
    };
    let failures = before.as_ref().map_or(0, |checked| checked.failures).saturating_add(1);
    let checked = if let Some(Examined { traced, standing, fetched }) = found {
        if !fetched.is_empty()
            && let Err(error) = engine.journal().keep_issuers(fetched, at).await
        {
            tracing::warn!(%error, "the certificates of authorities that were fetched are not kept");
        }
        let failures = if standing.is_ok() { 0 } else { failures };
        let next = standing.as_ref().map(|(finding, _)| finding.next).map_err(|why| *why);
        let again = Checked::again(at, next, failures, spread);
        let end = engine.read(move |state| state.world.certificate(&certificate).map(|known| known.not_after)).await?;
        let authority_ends = traced.until.filter(|(until, _)| Some(*until) < end).map(Box::new);
        let standing = standing.map(|(finding, way)| (finding.standing, way));
        Checked { at, again, failures, standing, reach: traced.reach, authority_ends }
    } else {
        let again = Checked::again(at, Err(Why::Failed), failures, spread);
        let (reach, authority_ends) = before.map_or((Reach::Nothing, None), |before| (before.reach, before.authority_ends));
        Checked { at, again, failures, standing: Err(Why::Failed), reach, authority_ends }
    };
    engine.checked(certificate, checked).await
}

async fn examine(
    engine: &Engine,
    examiner: &Examiner,
    certificate: Fingerprint,
    at: DateTime<Utc>,
    round: &mut Round,
) -> Result<Option<Examined>, Problem> {
    let Some(der) = engine.journal().der(certificate).await.map_err(|error| journal_problem(&error))? else {
        return Ok(None);
    };
    let (links, anchors) = above(engine, &der).await?;
    let subject = Subject { certificate: &der, links, anchors, at };
    examiner.examine(subject, round).await.map(Some)
}

/// The certificates (DER) that may stand above one: those of its authorities that lie in some place or were fetched before, and those
/// that programmes trust.
pub(crate) async fn above(engine: &Engine, certificate: &[u8]) -> Result<(Vec<Vec<u8>>, Vec<Vec<u8>>), Problem> {
    let read = |der: &[u8]| Certificate::from_der(der).map_err(|error| Problem::Internal { detail: error.to_string() });
    let anchors = engine.read(|state| {
        let remotes = state.world.programmes().iter().filter_map(|programme| programme.authority.remote());
        remotes.flat_map(|remote| remote.anchors.ders().iter().cloned()).collect::<Vec<Vec<u8>>>()
    });
    let anchors = anchors.await?;
    let mut links = Vec::new();
    let (mut wanted, mut asked) = (BTreeSet::from([read(certificate)?.issuer().to_owned()]), BTreeSet::new());
    for _ in 0..HIGHEST {
        let mut found = Vec::new();
        for name in std::mem::take(&mut wanted) {
            let named = name.clone();
            let known = engine.read(move |state| state.world.authorities_named(&named).collect::<Vec<Fingerprint>>()).await?;
            for fingerprint in known {
                found.extend(engine.journal().der(fingerprint).await.map_err(|error| journal_problem(&error))?);
            }
            found.extend(engine.journal().issuers(name.clone()).await.map_err(|error| journal_problem(&error))?);
            asked.insert(name);
        }
        for der in found {
            let issuer = read(&der)?.issuer().to_owned();
            if !asked.contains(&issuer) {
                wanted.insert(issuer);
            }
            if !links.contains(&der) {
                links.push(der);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok((links, anchors))
}
