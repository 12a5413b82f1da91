//! A renewal as a fold of what was written about it. The code that accepts a live event is the code that replays.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::certificate::{Fingerprint, KeyAlgorithm};
use crate::item::ItemId;
use crate::place::Place;
use crate::plan::{Plan, Step};
use crate::problem::Problem;
use crate::programme::InstallRule;

mod brought;
mod bytes;
mod files;
mod found;
mod keys;

pub use bytes::Bytes;
pub use files::{InstallFile, Replaced};
pub use keys::{FoundKeys, Home, NewKey, Reservation};

/// What a renewal is about, frozen when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The identity that is renewed.
    pub identity: ItemId,
    /// What the person calls it.
    pub name: String,
    /// The programme by which.
    pub programme: String,
    /// The steps, as they were when it began.
    pub plan: Plan,
    /// The certificates that are renewed together or not at all, one for each role; never none.
    pub old: Vec<Old>,
    /// Where the person wants the new file, if they said so; where nothing is made, where the new certificate lies already.
    pub to: Option<Place>,
    /// The user who started it; `None` when a script of the system did.
    pub uid: Option<u32>,
    /// It began by itself, as its programme says: that stands for the person's yes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto: bool,
    /// Where the new files go.
    #[serde(default, skip_serializing_if = "InstallRule::is_beside")]
    pub install: InstallRule,
}

/// The certificate that a renewal replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// Its fingerprint.
    pub certificate: Fingerprint,
    /// Its role in the identity.
    pub role: String,
    /// Where it and its key are.
    pub place: Place,
    /// Its end of validity.
    pub not_after: DateTime<Utc>,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum JobEvent {
    /// It began.
    Started(Box<Start>),
    /// A step is about to be done; holds all that a probe needs to recognise its own work.
    Intended {
        /// What is about to be done.
        intent: Intent,
    },
    /// The step has been done.
    Done {
        /// What came of it.
        outcome: Outcome,
    },
    /// The step could not be done; a person is needed.
    Failed {
        /// The step.
        step: Step,
        /// Why.
        problem: Problem,
    },
    /// Somebody said to go on.
    Resumed {},
    /// A mail or a person has brought a certificate that it waits for; with all of them, it goes on.
    Brought {
        /// Its DER.
        certificate: Bytes,
    },
    /// Somebody said to stop.
    Cancelled {},
    /// Another certificate has taken the old one's place: nothing is to be renewed any more.
    Overtaken {
        /// That certificate.
        by: Fingerprint,
    },
}

/// What is about to be done. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Intent {
    /// Looking.
    Preflight {},
    /// Asking the person.
    Consent {},
    /// Making a key.
    GenerateKeys {
        /// Its kind.
        algorithm: KeyAlgorithm,
        /// Where.
        home: Home,
    },
    /// Asking for the certificate with exactly these bytes.
    Request {
        /// DER of what is to be signed: a `CertificationRequestInfo` (RFC 2986 section 4.1), or for a self-made certificate its
        /// `TBSCertificate` (RFC 5280 section 4.1.1.1).
        request: Bytes,
        /// The file of the job's own directory in which what is made arrives.
        file: String,
    },
    /// Sending the requests that were made to the authority.
    Submit {
        /// Digest of all of them, in their order.
        sha256: Fingerprint,
    },
    /// Asking the authority whether it has issued.
    AwaitIssue {},
    /// Having the certificates sent.
    Fetch {},
    /// Judging this certificate.
    Verify {
        /// Its fingerprint.
        certificate: Fingerprint,
    },
    /// Putting files where programs look for them.
    Install {
        /// The place that they make up.
        place: Place,
        /// The files, in this order; none with a card.
        files: Vec<InstallFile>,
    },
    /// Telling who uses the certificate.
    Register {},
    /// Having the person do this in another program.
    ByHand {
        /// What.
        instruction: String,
        /// What is to be copied there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<String>,
    },
    /// Watching the new place instead of the old.
    RetireOld {
        /// The new place.
        place: Place,
    },
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that follows can succeed.
    Preflight {
        /// The new keys, in the order of the old certificates.
        keys: Vec<NewKey>,
        /// They are protected by a secret.
        protected: bool,
        /// DER of the `Name` that the new certificates bear instead of the old ones'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Bytes>,
    },
    /// The person said yes.
    Consent {},
    /// The key is in its file.
    GenerateKeys {
        /// DER of its `SubjectPublicKeyInfo`.
        public_key: Bytes,
    },
    /// What was asked for is there, or can be sent.
    Request {
        /// What was made.
        made: Made,
    },
    /// The authority has taken the requests.
    Submit {
        /// How it calls the order.
        order: String,
        /// What it issued at once (DER), in no order; not looked at yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        issued: Vec<Bytes>,
    },
    /// It has issued.
    AwaitIssue {
        /// What it handed over when it was asked (DER), in no order; not looked at yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        issued: Vec<Bytes>,
    },
    /// The certificates are here.
    Fetch {
        /// Their DER, in the order of the old ones.
        certificates: Vec<Bytes>,
        /// DER of others that came with them: links of their chain, perhaps. Nobody trusts them for that.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        chain: Vec<Bytes>,
        /// Where other programs have made them: the keys that they are for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<FoundKeys>,
        /// The words for what they say otherwise than was asked for, and to which the person has agreed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accepted: Vec<String>,
    },
    /// It is what was asked for, and its key works.
    Verify {
        /// The words for what it says otherwise than was asked for, and to which the person has agreed only now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accepted: Vec<String>,
    },
    /// The files are where programs look for them.
    Install {},
    /// All who use the certificate know of the new one.
    Register {},
    /// The person has done it.
    ByHand {},
    /// The new one is watched, the old one retired.
    RetireOld {},
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// DER of the certificate itself.
    Certificate(Bytes),
    /// The message for the authority, exactly as it is sent.
    Message(Bytes),
}

impl Intent {
    /// The step that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::Preflight {} => Step::Preflight,
            Self::Consent {} => Step::Consent,
            Self::GenerateKeys { .. } => Step::GenerateKeys,
            Self::Request { .. } => Step::Request,
            Self::Submit { .. } => Step::Submit,
            Self::AwaitIssue {} => Step::AwaitIssue,
            Self::Fetch {} => Step::Fetch,
            Self::Verify { .. } => Step::Verify,
            Self::Install { .. } => Step::Install,
            Self::Register {} => Step::Register,
            Self::ByHand { .. } => Step::ByHand,
            Self::RetireOld { .. } => Step::RetireOld,
        }
    }
}

impl Outcome {
    /// The step that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::Preflight { .. } => Step::Preflight,
            Self::Consent {} => Step::Consent,
            Self::GenerateKeys { .. } => Step::GenerateKeys,
            Self::Request { .. } => Step::Request,
            Self::Submit { .. } => Step::Submit,
            Self::AwaitIssue { .. } => Step::AwaitIssue,
            Self::Fetch { .. } => Step::Fetch,
            Self::Verify { .. } => Step::Verify,
            Self::Install {} => Step::Install,
            Self::Register {} => Step::Register,
            Self::ByHand {} => Step::ByHand,
            Self::RetireOld {} => Step::RetireOld,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The next step may begin.
    Ready,
    /// This was intended and has no outcome yet.
    Intended(Intent),
    /// A person is needed; what was intended, if anything, may have happened.
    Waiting(Problem, Option<Intent>),
    /// It has ended well.
    Done,
    /// A person ended it.
    Cancelled,
    /// What it was to renew was renewed elsewhere.
    Overtaken,
    /// What was written about it contradicts itself; it is left alone.
    Quarantined(String),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'job> {
    /// Gather what the intent must hold, write it, and act.
    Begin(Step),
    /// Ask the world whether this has happened.
    Probe(&'job Intent),
    /// Nothing until somebody says to go on.
    Wait,
    /// Nothing any more.
    Ended,
}

/// An event that cannot follow what is known of its job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} while {phase}")]
pub struct IllegalEvent {
    /// What was to be applied.
    pub event: String,
    /// Where the job stood.
    pub phase: String,
}

/// A renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it is about.
    pub start: Start,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// What came of the steps done so far: as many as there are.
    pub outcomes: Vec<Outcome>,
    /// Files were on their way to their place once: from then on they may be there.
    pub installing: bool,
    /// The files that it made, once they are in their place; with a card, the card.
    pub made: Vec<Place>,
    /// Where copies are of the files whose places new ones took: what was at the first place, and its copy.
    pub kept: Vec<(Place, Place)>,
    /// DER of the certificates that were brought to it, in this order.
    pub brought: Vec<Bytes>,
    /// Where it stands.
    pub phase: Phase,
    /// What keeps it from going on though even that could not be written down; gone with the next event.
    pub stalled: Option<Problem>,
}

impl Job {
    /// The job that begins so.
    pub fn new(start: Start, at: DateTime<Utc>) -> Self {
        let phase = if start.old.is_empty() { Phase::Quarantined("it renews nothing".into()) } else { Phase::Ready };
        Self {
            start,
            started: at,
            finished: None,
            outcomes: Vec::new(),
            installing: false,
            made: Vec::new(),
            kept: Vec::new(),
            brought: Vec::new(),
            phase,
            stalled: None,
        }
    }

    /// Applies what happened next. An event that cannot follow changes nothing.
    ///
    /// Whatever it says, an event that would put a file over the old certificate is none, unless a copy is kept where its
    /// programme says so.
    pub fn apply(&mut self, event: &JobEvent, at: DateTime<Utc>) -> Result<(), IllegalEvent> {
        if self.overwrites_old(event) {
            return Err(IllegalEvent { event: "install over the old certificate".into(), phase: self.describe() });
        }
        if self.miscounts(event) {
            return Err(IllegalEvent { event: "other certificates than were asked for".into(), phase: self.describe() });
        }
        let phase = match (&self.phase, event) {
            (Phase::Ready, JobEvent::Intended { intent }) if Some(intent.step()) == self.step() => {
                self.installing |= intent.step() == Step::Install;
                Phase::Intended(intent.clone())
            }
            (Phase::Intended(intent), JobEvent::Done { outcome }) if outcome.step() == intent.step() => {
                if let Intent::Install { place, files } = intent {
                    self.made.extend(files.iter().map(|file| file.target.clone()));
                    let kept = |file: &InstallFile| Some((file.target.clone(), file.replaces.as_ref()?.copy.clone()));
                    self.kept.extend(files.iter().filter_map(kept));
                    if files.is_empty() && !self.made.contains(place) {
                        self.made.push(place.clone());
                    }
                }
                if let (Intent::RetireOld { place }, false) = (intent, self.start.plan.makes_keys()) {
                    self.made.push(place.clone());
                }
                self.outcomes.push(outcome.clone());
                if self.step().is_some() { Phase::Ready } else { Phase::Done }
            }
            (Phase::Ready, JobEvent::Failed { step, problem }) if Some(*step) == self.step() => {
                Phase::Waiting(problem.clone(), None)
            }
            (Phase::Intended(intent), JobEvent::Failed { step, problem }) if *step == intent.step() => {
                Phase::Waiting(problem.clone(), Some(intent.clone()))
            }
            (Phase::Waiting(_, intent), JobEvent::Resumed {}) => intent.clone().map_or(Phase::Ready, Phase::Intended),
            (_, JobEvent::Brought { certificate }) if self.awaits(certificate) => self.take(certificate.clone()),
            (Phase::Ready | Phase::Intended(_) | Phase::Waiting(..), JobEvent::Cancelled {}) if self.may_cancel() => {
                Phase::Cancelled
            }
            (Phase::Ready | Phase::Intended(_) | Phase::Waiting(..), JobEvent::Overtaken { .. }) if self.may_be_overtaken() => {
                Phase::Overtaken
            }
            _ => return Err(IllegalEvent { event: event.describe(), phase: self.describe() }),
        };
        self.phase = phase;
        self.stalled = None;
        if self.is_ended() {
            self.finished = Some(at);
        }
        Ok(())
    }

    /// What is to be done next. After a crash as after a failed call, an open intent is always asked about first.
    pub fn next(&self) -> Next<'_> {
        match (&self.phase, self.step()) {
            (Phase::Ready, Some(step)) => Next::Begin(step),
            (Phase::Intended(intent), _) => Next::Probe(intent),
            (Phase::Waiting(..), _) => Next::Wait,
            _ => Next::Ended,
        }
    }

    /// The step that is under way or comes next.
    pub fn step(&self) -> Option<Step> {
        self.position().map(|(position, _)| self.start.plan.steps()[position])
    }

    /// For which of the old certificates the step is that is under way or comes next: its index. 0 for a step that is done once
    /// for all of them.
    pub fn member(&self) -> usize {
        self.position().map_or(0, |(_, member)| member)
    }

    /// How many steps the person has done by hand so far.
    pub fn done_by_hand(&self) -> usize {
        self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::ByHand {})).count()
    }

    /// Whether it waits for the person to have done something by hand, or is about to ask for that.
    pub fn is_by_hand(&self) -> bool {
        let (Phase::Intended(intent) | Phase::Waiting(_, Some(intent))) = &self.phase else { return false };
        matches!(intent, Intent::ByHand { .. })
    }

    /// How many steps of the plan are done for all certificates.
    pub fn steps_done(&self) -> usize {
        self.position().map_or(self.start.plan.steps().len(), |(position, _)| position)
    }

    /// The step in the plan, and the certificate, at which the job stands.
    fn position(&self) -> Option<(usize, usize)> {
        let mut done = self.outcomes.len();
        for (position, step) in self.start.plan.steps().iter().enumerate() {
            let times = if step.is_for_each() { self.start.old.len() } else { 1 };
            if done < times {
                return Some((position, done));
            }
            done -= times;
        }
        None
    }

    /// Whether somebody may still end it. While old and new keys change places on a card, every new one has passed its trial and
    /// the only safe way is forward.
    pub fn may_cancel(&self) -> bool {
        let intended = match &self.phase {
            Phase::Intended(intent) | Phase::Waiting(_, Some(intent)) => intent.step() == Step::RetireOld,
            _ => false,
        };
        let begun = self.step() == Some(Step::RetireOld) && (intended || self.member() > 0);
        let moves = |key: &NewKey| matches!(&key.home, Home::Card(reservation) if reservation.archive.is_some());
        !(begun && self.preflight().is_some_and(|(keys, _)| keys.iter().any(moves)))
    }

    /// Whether it ends when what it renews has been renewed elsewhere: not once its own certificate is on the way to its place.
    pub fn may_be_overtaken(&self) -> bool {
        self.start.plan.makes_keys() && !self.installing && !self.is_ended()
    }

    /// Whether nothing will happen to it any more.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Cancelled | Phase::Overtaken | Phase::Quarantined(_))
    }

    /// The state as views say it.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Ready | Phase::Intended(_) if self.stalled.is_some() => "waiting",
            Phase::Ready | Phase::Intended(_) => "running",
            Phase::Waiting(..) => "waiting",
            Phase::Done => "done",
            Phase::Cancelled => "cancelled",
            Phase::Overtaken => "superseded",
            Phase::Quarantined(_) => "quarantined",
        }
    }

    /// Why it waits.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.phase {
            Phase::Waiting(problem, _) => Some(problem),
            _ => self.stalled.as_ref(),
        }
    }

    /// The new place, while it takes the old one's part.
    pub fn arriving(&self) -> Option<&Place> {
        match &self.phase {
            Phase::Intended(Intent::RetireOld { place }) | Phase::Waiting(_, Some(Intent::RetireOld { place })) => Some(place),
            _ => None,
        }
    }

    /// When the old certificates end: the first of them.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.start.old.iter().map(|old| old.not_after).min().unwrap_or(self.started)
    }

    fn overwrites_old(&self, event: &JobEvent) -> bool {
        match event {
            JobEvent::Intended { intent: Intent::Install { files, .. } } => {
                let kept = |file: &InstallFile| self.start.install == InstallRule::Replace && file.replaces.is_some();
                let over = |file: &InstallFile| self.start.old.iter().any(|old| file.target.path() == old.place.path());
                files.iter().any(|file| over(file) && !kept(file))
            }
            _ => false,
        }
    }

    /// Twins are renewed together or not at all: as many keys are planned and certificates taken as there are old ones.
    fn miscounts(&self, event: &JobEvent) -> bool {
        let many = match event {
            JobEvent::Done { outcome: Outcome::Preflight { keys, .. } } => keys.len(),
            JobEvent::Done { outcome: Outcome::Fetch { certificates, found, .. } } => {
                let keys = found.as_ref().map_or(self.start.old.len(), |found| found.keys.len());
                if keys == certificates.len() { keys } else { 0 }
            }
            _ => return false,
        };
        many != self.start.old.len()
    }

    fn describe(&self) -> String {
        match &self.phase {
            Phase::Intended(intent) => format!("{} is under way", intent.step()),
            _ => format!("{} before {}", self.state(), self.step().map_or("the end", Step::as_str)),
        }
    }
}

impl JobEvent {
    fn describe(&self) -> String {
        match self {
            Self::Started(_) => "started".into(),
            Self::Intended { intent } => format!("{} intended", intent.step()),
            Self::Done { outcome } => format!("{} done", outcome.step()),
            Self::Failed { step, problem } => format!("{step} failed with {}", problem.kind()),
            Self::Resumed {} => "resumed".into(),
            Self::Brought { .. } => "brought".into(),
            Self::Cancelled {} => "cancelled".into(),
            Self::Overtaken { .. } => "overtaken".into(),
        }
    }
}

#[cfg(test)]
mod tests;
