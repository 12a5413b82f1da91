//! The new certificate is asked for, with exactly the bytes that were journalled. With a self-made one the new key signs it; for an
//! authority, the new key signs the request, and the old key of the same role signs the message that carries it.

use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use obnova_core::Problem;
use obnova_core::job::{Bytes, Intent, Made, Outcome};
use obnova_core::programme::Authority;

use super::{Answer, Ground, REQUESTED_FILE};
use crate::authorities::{self_signed, signed_request};
use crate::outgoing;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) async fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    let old_der = ground.old_der().await?;
    let request = match ground.programme().await?.authority {
        Authority::SelfSigned { validity_days } => {
            let old = ground.old_certificate().await?;
            let life = validity_days.map_or(old.not_after - old.not_before, |days| Duration::days(i64::from(days)));
            let from = after(old.not_before, ground).await;
            let request = self_signed::Request {
                old: &old_der,
                public_key: ground.public_key()?,
                serial: crate::random::bytes(),
                not_before: from,
                not_after: from + life,
                subject: ground.job.new_subject(),
            };
            request.encode().map_err(internal)?
        }
        Authority::Simulated { .. } | Authority::SignedRequest(_) | Authority::Est(_) | Authority::SignedMail(_) => {
            let request = signed_request::Request { old: &old_der, public_key: ground.public_key()? };
            request.encode().map_err(internal)?
        }
        Authority::Web(_) => return Err(nobody_asks()),
    };
    Ok(Intent::Request { request: Bytes(request), file: ground.own(REQUESTED_FILE) })
}

/// At an authority's page it is the person who asks: no plan with such a one has this step.
fn nobody_asks() -> Problem {
    Problem::Internal { detail: "nobody asks".into() }
}

/// The present moment, in another second than that one: certificates count in whole seconds, and a successor begins later.
async fn after(moment: DateTime<Utc>, ground: &Ground<'_>) -> DateTime<Utc> {
    let now = ground.tools.clock.now().to_utc();
    let wait = (moment + Duration::seconds(1) - now).to_std().unwrap_or_default();
    if wait.is_zero() || wait > std::time::Duration::from_secs(1) {
        return now;
    }
    tokio::time::sleep(wait).await;
    moment + Duration::seconds(1)
}

pub(super) async fn perform(
    ground: &Ground<'_>,
    request: &[u8],
    file: &str,
    sitting: &mut Sitting,
) -> Result<Outcome, Problem> {
    let signature = ground.sign_with_new(request, sitting).await?;
    let made = match ground.programme().await?.authority {
        Authority::SelfSigned { .. } => Made::Certificate(Bytes(self_signed::assemble(request, &signature).map_err(internal)?)),
        Authority::Simulated { .. } | Authority::SignedRequest(_) => {
            let request = signed_request::certification_request(request, &signature).map_err(internal)?;
            Made::Message(Bytes(message(ground, &request, sitting).await?))
        }
        Authority::SignedMail(letter) => {
            let outgoing = ground.tools.outgoing.as_ref().ok_or(Problem::NoMailServer {})?;
            let request = signed_request::certification_request(request, &signature).map_err(internal)?;
            let signed = message(ground, &outgoing::enclosed(&request), sitting).await?;
            Made::Message(Bytes(outgoing.mail(&letter, &signed, ground.tools.clock.now().to_utc())?))
        }
        // The old key does not sign it, but logs in with it.
        Authority::Est(_) => {
            Made::Message(Bytes(signed_request::certification_request(request, &signature).map_err(internal)?))
        }
        Authority::Web(_) => return Err(nobody_asks()),
    };
    let (Made::Certificate(bytes) | Made::Message(bytes)) = &made;
    ground.make_directory()?;
    let path = ground.file(file);
    write_whole(&path, &bytes.0).map_err(|error| trouble::io(&error, &path))?;
    Ok(Outcome::Request { made })
}

/// The request, or what encloses it, in a message that the old key signs.
async fn message(ground: &Ground<'_>, request: &[u8], sitting: &mut Sitting) -> Result<Vec<u8>, Problem> {
    let old = ground.old_der().await?;
    let now = ground.tools.clock.now().to_utc();
    let attributes = signed_request::signed_attributes(request, &old, now).map_err(internal)?;
    let signature = ground.sign_with_old(&attributes, sitting).await?;
    signed_request::message(request, &old, &attributes, &signature).map_err(internal)
}

pub(super) async fn probe(ground: &Ground<'_>, request: &[u8], file: &str) -> Answer {
    let elsewhere = match ground.programme().await {
        Ok(programme) => programme.authority.takes_requests(),
        Err(problem) => return Answer::Unknown(problem),
    };
    let path = ground.file(file);
    match std::fs::read(&path) {
        Ok(message) if elsewhere && carries(&message, request) => {
            Answer::Happened(Outcome::Request { made: Made::Message(Bytes(message)) })
        }
        Ok(certificate) if !elsewhere && self_signed::answers(&certificate, request) => {
            Answer::Happened(Outcome::Request { made: Made::Certificate(Bytes(certificate)) })
        }
        Ok(_) => Answer::Unknown(Problem::Unclear { step: "request".into(), path: path.display().to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Answer::NotYet,
        Err(error) => Answer::Unknown(trouble::io(&error, &path)),
    }
}

/// Whether a message of ours, or a mail, carries this very request.
fn carries(message: &[u8], request: &[u8]) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(request.len()).any(|window| window == request);
    holds(message) || outgoing::request_in(message).is_some_and(|enclosed| holds(&enclosed))
}

fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::Internal { detail: error.to_string() }
}

/// Writes a file so that after a crash it is there whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(directory)?.sync_all()
}
