//! The requests reach the authority: all of a pair, or none. Sent again only byte for byte the same, and only after the authority
//! was asked whether it has them; where it cannot be asked, only if its programme or the person says so.

use obnova_api::QuestionView;
use obnova_core::job::{Bytes, Intent, Outcome};
use obnova_core::programme::Correspondence;
use obnova_core::{Fingerprint, Problem, Step};

use super::request::write_whole;
use super::{Answer, Ground, missing};
use crate::authorities::{Failed, Issuer, Submitted, est};
use crate::outgoing::{self, Outgoing};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;
use crate::shares::{self, Whose};

/// There from before the first byte is sent until it is known that none was taken.
const SENDING_FILE: &str = "sending";
/// What the authority answered: an outcome as the journal holds them.
const TAKEN_FILE: &str = "taken.json";

pub(super) async fn prepare(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Intent, Problem> {
    // Asked before anything is intended, and before a server waits for it.
    match ground.authority().await? {
        Issuer::Est { .. } => ground.open_old(sitting).await?,
        Issuer::ByMail { outgoing, .. } => {
            sitting.mail_password(ground, &outgoing.ok_or(Problem::NoMailServer {})?).await?;
        }
        _ => {}
    }
    Ok(Intent::Submit { sha256: Fingerprint::of(&ground.job.messages().concat()) })
}

pub(super) async fn perform(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let authority = ground.authority().await?;
    let sending = ground.file(SENDING_FILE);
    ground.make_directory()?;
    write_whole(&sending, b"").map_err(|error| trouble::io(&error, &sending))?;
    match send(ground, &authority, sitting).await {
        Ok(submitted) => {
            let issued = submitted.issued.into_iter().map(Bytes).collect();
            let outcome = Outcome::Submit { order: submitted.order, issued };
            keep(ground, TAKEN_FILE, &outcome)?;
            Ok(outcome)
        }
        Err(failed) => {
            if !failed.may_have_arrived {
                std::fs::remove_file(&sending).map_err(|error| trouble::io(&error, &sending))?;
            }
            Err(failed.problem)
        }
    }
}

pub(super) async fn probe(ground: &Ground<'_>, sitting: &Sitting) -> Answer {
    if let Some(kept) = kept(ground, TAKEN_FILE, Step::Submit) {
        return kept;
    }
    let authority = match ground.authority().await {
        Ok(authority) => authority,
        Err(problem) => return Answer::Unknown(problem),
    };
    if !authority.tells_orders() && !ground.file(SENDING_FILE).exists() {
        return Answer::NotYet;
    }
    match authority.order_of(&ground.job.messages()).await {
        Ok(Some(order)) => Answer::Happened(Outcome::Submit { order, issued: Vec::new() }),
        Ok(None) => Answer::NotYet,
        Err(problem @ Problem::MaybeSent { .. }) => may_send_again(ground, sitting, problem).await,
        Err(problem) => Answer::Unknown(problem),
    }
}

/// Sends what the journal holds.
async fn send(ground: &Ground<'_>, authority: &Issuer<'_>, sitting: &mut Sitting) -> Result<Submitted, Failed> {
    match authority {
        Issuer::Est { remote, .. } => est::enrolled(remote, &ground.enrol(remote, sitting).await?),
        Issuer::ByMail { letter, outgoing } => mail(ground, letter, outgoing.as_ref(), sitting).await,
        other => other.submit(&ground.job.messages()).await,
    }
}

/// Sends the mail that the journal holds. The order is its Message-ID.
async fn mail(
    ground: &Ground<'_>,
    letter: &Correspondence,
    outgoing: Option<&Outgoing>,
    sitting: &mut Sitting,
) -> Result<Submitted, Failed> {
    let outgoing = outgoing.ok_or(Problem::NoMailServer {}).map_err(Failed::before)?;
    let mail = *ground.job.messages().first().ok_or_else(|| missing(Step::Request)).map_err(Failed::before)?;
    let password = sitting.mail_password(ground, outgoing).await.map_err(Failed::before)?;
    let dispatch = outgoing.dispatch(&letter.to, mail).map_err(Failed::before)?;
    let dispatched = shares::spent(Whose::Authority, ground.tools.courier.dispatch(dispatch, password.as_deref())).await;
    match dispatched.map_err(Failed::maybe)? {
        Ok(()) => Ok(Submitted { order: outgoing::message_id(mail), issued: Vec::new() }),
        Err(undispatched) => {
            if matches!(undispatched.problem, Problem::MailLogin { .. }) {
                sitting.forget_mail_password();
            }
            Err(Failed { problem: undispatched.problem, may_have_arrived: undispatched.may_have_arrived })
        }
    }
}

/// Keeps what an authority handed over that would not do so twice, until it is written down.
pub(super) fn keep(ground: &Ground<'_>, name: &str, outcome: &Outcome) -> Result<(), Problem> {
    let path = ground.file(name);
    let written = serde_json::to_vec(outcome).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    write_whole(&path, &written).map_err(|error| trouble::io(&error, &path))
}

/// What [`keep`] kept of a step; `None`, if nothing.
pub(super) fn kept(ground: &Ground<'_>, name: &str, step: Step) -> Option<Answer> {
    let path = ground.file(name);
    let unclear = || Answer::Unknown(Problem::Unclear { step: step.to_string(), path: path.display().to_string() });
    match std::fs::read(&path) {
        Ok(written) => Some(match serde_json::from_slice::<Outcome>(&written) {
            Ok(outcome) if outcome.step() == step => Answer::Happened(outcome),
            _ => unclear(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Answer::Unknown(trouble::io(&error, &path))),
    }
}

/// Whether the person wants the very same bytes sent once more. Without anybody to ask, it stays unknown.
async fn may_send_again(ground: &Ground<'_>, sitting: &Sitting, problem: Problem) -> Answer {
    let question =
        QuestionView { id: crate::random::hex(8), about: "send-again".into(), args: Some(problem.args()), ..ground.matter() };
    match ground.tools.agents.consent(&sitting.whom, &question).await {
        Ok(true) => Answer::NotYet,
        Ok(false) | Err(Problem::NoAgent {} | Problem::Refused {}) => Answer::Unknown(problem),
        Err(other) => Answer::Unknown(other),
    }
}
