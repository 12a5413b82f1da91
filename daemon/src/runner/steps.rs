//! How each step is prepared, done, and recognised afterwards: one file for each, one line in each of three tables.

use std::path::PathBuf;

use obnova_api::QuestionView;
use obnova_core::job::{IllegalEvent, Intent, Job, JobEvent, NewKey, Old, Outcome, Start};
use obnova_core::programme::Authority;
use obnova_core::{Fingerprint, Problem, Programme, Step};

use crate::authorities::Issuer;
use crate::authorities::simulated::Rules;
use crate::bus::agents::Requester;
use crate::bus::views;
use crate::cards::step::CardAnswer;

use super::sitting::Sitting;
use super::{Tools, trouble};

mod await_issue;
mod by_hand;
mod consent;
mod elsewhere;
mod fetch;
mod generate_keys;
mod install;
mod preflight;
pub(super) mod register;
mod replace;
mod request;
mod retire_old;
mod signing;
mod submit;
mod verify;

const KEY_FILE: &str = "key.pem";
/// What is made of a request, likewise.
const REQUESTED_FILE: &str = "certificate.der";

/// What the world says about an intent.
pub(super) enum Answer {
    /// It has happened; this came of it.
    Happened(Outcome),
    /// It has not happened.
    NotYet,
    /// It cannot be told; a person must look.
    Unknown(Problem),
}

/// Gathers what the intent of a step must hold. Has no effect but inside the job's own directory, and may be repeated.
pub(super) async fn prepare(ground: &Ground<'_>, step: Step, sitting: &mut Sitting) -> Result<Intent, Problem> {
    match step {
        Step::Preflight => Ok(Intent::Preflight {}),
        Step::Consent => Ok(Intent::Consent {}),
        Step::GenerateKeys => generate_keys::prepare(ground, sitting).await,
        Step::Request => request::prepare(ground).await,
        Step::Submit => submit::prepare(ground, sitting).await,
        Step::AwaitIssue => Ok(Intent::AwaitIssue {}),
        Step::Fetch => Ok(Intent::Fetch {}),
        Step::Verify => verify::prepare(ground),
        Step::Install => install::prepare(ground, sitting).await,
        Step::Register => Ok(Intent::Register {}),
        Step::ByHand => by_hand::prepare(ground).await,
        Step::RetireOld => retire_old::prepare(ground, sitting).await,
    }
}

/// Does what was intended.
pub(super) async fn perform(ground: &Ground<'_>, intent: &Intent, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    match intent {
        Intent::Preflight {} => preflight::perform(ground, sitting).await,
        Intent::Consent {} => consent::perform(ground, sitting).await,
        Intent::GenerateKeys { algorithm, home } => generate_keys::perform(ground, *algorithm, home, sitting).await,
        Intent::Request { request, file } => request::perform(ground, &request.0, file, sitting).await,
        Intent::Submit { .. } => submit::perform(ground, sitting).await,
        Intent::AwaitIssue {} => await_issue::perform(ground, sitting).await,
        Intent::Fetch {} => fetch::perform(ground, sitting).await,
        Intent::Verify { .. } => verify::perform(ground, sitting).await,
        Intent::Install { files, .. } => install::perform(ground, files, sitting).await,
        Intent::Register {} => register::perform(ground).await,
        Intent::ByHand { instruction, copy } => by_hand::perform(ground, instruction, copy.as_deref(), sitting).await,
        Intent::RetireOld { place } => retire_old::perform(ground, place, sitting).await,
    }
}

/// Asks the world whether what was intended has happened.
pub(super) async fn probe(ground: &Ground<'_>, intent: &Intent, sitting: &Sitting) -> Answer {
    match intent {
        // These leave nothing behind in the world, or recognise themselves what they find done: looking, asking and judging
        // again is always right.
        Intent::Preflight {}
        | Intent::Consent {}
        | Intent::Fetch {}
        | Intent::Verify { .. }
        | Intent::Register {}
        | Intent::ByHand { .. }
        | Intent::RetireOld { .. } => Answer::NotYet,
        Intent::AwaitIssue {} => await_issue::probe(ground),
        Intent::Submit { .. } => submit::probe(ground, sitting).await,
        Intent::GenerateKeys { home, .. } => generate_keys::probe(ground, home).await,
        Intent::Request { request, file } => request::probe(ground, &request.0, file).await,
        Intent::Install { files, .. } => install::probe(ground, files).await,
    }
}

/// What a renewal would do: looks as Preflight does, changes nothing, writes nothing down.
pub(super) async fn plan(tools: &Tools, start: Start, whom: Requester) -> Result<QuestionView, Problem> {
    let now = tools.clock.now().to_utc();
    let internal = |error: IllegalEvent| Problem::Internal { detail: error.to_string() };
    let mut job = Job::new(start, now);
    let sitting = Sitting::new(whom);
    let outcome = preflight::perform(&Ground { tools, number: 0, job: &job }, &sitting).await?;
    job.apply(&JobEvent::Intended { intent: Intent::Preflight {} }, now).map_err(internal)?;
    job.apply(&JobEvent::Done { outcome }, now).map_err(internal)?;
    consent::question(&Ground { tools, number: 0, job: &job }).await
}

/// What a step stands on: the job, as it is while the step is done, and the tools.
pub(super) struct Ground<'run> {
    /// The tools.
    pub(super) tools: &'run Tools,
    /// The number of the job.
    pub(super) number: u64,
    /// The job.
    pub(super) job: &'run Job,
}

impl Ground<'_> {
    /// The old certificate that the step is about; of those that are renewed together, the first, where it is about all.
    pub(super) fn old(&self) -> Result<&Old, Problem> {
        let old = self.job.start.old.get(self.job.member());
        old.ok_or_else(|| Problem::Internal { detail: "a renewal of nothing".into() })
    }

    /// The key that takes its place.
    pub(super) fn new_key(&self) -> Result<&NewKey, Problem> {
        self.preflight()?.0.get(self.job.member()).ok_or_else(|| missing(Step::Preflight))
    }

    /// The name of a file in the job's own directory that belongs to the old certificate of this step alone.
    pub(super) fn own(&self, name: &str) -> String {
        own_name(name, self.job.member())
    }

    /// The new key's file, in the job's own directory until the renewal has ended.
    pub(super) fn key_file(&self) -> PathBuf {
        self.file(&self.own(KEY_FILE))
    }

    /// The file with the key of a certificate that exists already.
    pub(super) fn key_there(&self) -> Result<PathBuf, Problem> {
        let place = &self.new_key()?.place;
        crate::stores::key_file(place).ok_or_else(|| Problem::NoKey { path: place.shown() })
    }

    /// A file in the job's own directory.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.tools.pending.join(self.number.to_string()).join(name)
    }

    /// Makes the job's own directory, which only this user can enter.
    pub(super) fn make_directory(&self) -> Result<(), Problem> {
        use std::os::unix::fs::DirBuilderExt;
        let directory = self.tools.pending.join(self.number.to_string());
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| trouble::io(&error, &directory))
    }

    /// The programme by which the job runs.
    pub(super) async fn programme(&self) -> Result<Programme, Problem> {
        let name = self.job.start.programme.clone();
        let programme = self.tools.engine.read(move |state| state.world.programme(&name).cloned()).await?;
        programme.ok_or(Problem::NoProgramme {})
    }

    /// DER of the certificate that is renewed.
    pub(super) async fn old_der(&self) -> Result<Vec<u8>, Problem> {
        self.der_of(self.old()?).await
    }

    /// DER of one of the certificates that are renewed.
    pub(super) async fn der_of(&self, old: &Old) -> Result<Vec<u8>, Problem> {
        let der = self.tools.engine.journal().der(old.certificate).await;
        let der = der.map_err(|error| crate::engine::journal_problem(&error))?;
        // Another program may have put the new one in its very place.
        let member = self.job.start.old.iter().position(|other| other.certificate == old.certificate);
        let kept = || Some(self.job.kept_old(member?)?.to_vec());
        der.or_else(kept).ok_or_else(|| Problem::ChangedMeanwhile { path: old.place.shown() })
    }

    /// The certificate that is renewed.
    pub(super) async fn old_certificate(&self) -> Result<obnova_core::Certificate, Problem> {
        let der = self.old_der().await?;
        obnova_core::Certificate::from_der(&der).map_err(|error| Problem::Internal { detail: error.to_string() })
    }

    /// Digest of the old public key.
    pub(super) async fn old_public_key(&self) -> Result<Fingerprint, Problem> {
        self.old_certificate().await.map(|certificate| certificate.public_key)
    }

    /// Who issues.
    pub(super) async fn authority(&self) -> Result<Issuer<'_>, Problem> {
        let programme = self.programme().await?;
        Ok(match programme.authority {
            Authority::SelfSigned { .. } => Issuer::Oneself,
            Authority::Simulated { validity_days, pause } => Issuer::Simulated {
                authority: &self.tools.simulated,
                rules: Rules { validity_days, pause },
                now: self.tools.clock.now().to_utc(),
            },
            Authority::SignedRequest(remote) => Issuer::SignedRequest { remote, courier: &self.tools.courier },
            Authority::Est(remote) => Issuer::Est { remote, courier: &self.tools.courier },
            Authority::SignedMail(letter) => Issuer::ByMail { letter, outgoing: self.tools.outgoing.clone() },
            Authority::Web(page) => Issuer::Person { page },
        })
    }

    /// How the authority calls what was ordered.
    pub(super) fn order(&self) -> Result<&str, Problem> {
        self.job.order().ok_or_else(|| missing(Step::Submit))
    }

    /// What all questions of this renewal say.
    pub(in crate::runner) fn matter(&self) -> QuestionView {
        QuestionView {
            item: self.job.start.identity.to_string(),
            name: self.job.start.name.clone(),
            about: "renewal".into(),
            job: Some(views::job_path(self.number)),
            ..QuestionView::default()
        }
    }

    /// A card that answers something else than it was asked: a mistake of ours.
    pub(super) fn odd_answer(&self, answer: &CardAnswer) -> Problem {
        Problem::Internal { detail: format!("job {}: {answer:?}", self.number) }
    }

    /// What Preflight found out: the new keys, and whether a secret protects them.
    pub(super) fn preflight(&self) -> Result<(&[NewKey], bool), Problem> {
        self.job.preflight().ok_or_else(|| missing(Step::Preflight))
    }

    /// DER of the new public key that was made here.
    pub(super) fn public_key(&self) -> Result<&[u8], Problem> {
        self.job.public_key(self.job.member()).ok_or_else(|| missing(Step::GenerateKeys))
    }

    /// DER of the new certificate.
    pub(super) fn certificate(&self) -> Result<&[u8], Problem> {
        self.job.certificate(self.job.member()).ok_or_else(|| missing(Step::Request))
    }
}

/// The name of a file that belongs to one of several certificates.
fn own_name(name: &str, member: usize) -> String {
    match member {
        0 => name.to_owned(),
        other => format!("{other}-{name}"),
    }
}

fn missing(step: Step) -> Problem {
    Problem::Internal { detail: format!("nothing came of {step}") }
}
