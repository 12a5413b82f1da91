//! A renewal as a fold of what was written about it. The code that accepts a live event is the code that replays.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::certificate::{Fingerprint, KeyAlgorithm, hex, hex_byte};
use crate::item::ItemId;
use crate::place::Place;
use crate::plan::{Plan, Step};
use crate::problem::Problem;

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
    /// The certificate that is renewed.
    pub old: Old,
    /// Where the person wants the new file, if they said so.
    pub to: Option<Place>,
    /// The user who started it; `None` when a script of the system did.
    pub uid: Option<u32>,
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
    /// Somebody said to stop.
    Cancelled {},
}

/// What is about to be done. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Intent {
    /// Looking.
    Preflight {},
    /// Asking the person.
    Consent {},
    /// Making a key of this kind, in this file of the job's own directory.
    GenerateKeys {
        /// Its kind.
        algorithm: KeyAlgorithm,
        /// The file's name.
        file: String,
    },
    /// Asking for the certificate with exactly these bytes.
    Request {
        /// The DER of the request; for a self-made certificate its `TBSCertificate` (RFC 5280 section 4.1.1.1).
        request: Bytes,
        /// The file of the job's own directory in which the certificate arrives.
        file: String,
    },
    /// Judging this certificate.
    Verify {
        /// Its fingerprint.
        certificate: Fingerprint,
    },
    /// Putting files where programs look for them.
    Install {
        /// The place that they make up.
        place: Place,
        /// The files, in this order.
        files: Vec<InstallFile>,
    },
    /// Watching the new place instead of the old.
    RetireOld {
        /// The new place.
        place: Place,
    },
}

/// A file on its way to its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallFile {
    /// The staged file's name in the job's own directory.
    pub staged: String,
    /// Where it goes (a `file:` place).
    pub target: Place,
    /// Its permission bits.
    pub mode: u32,
    /// The digest of its content.
    pub sha256: Fingerprint,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that follows can succeed.
    Preflight {
        /// The kind of the new key.
        algorithm: KeyAlgorithm,
        /// Where the new certificate and key will be.
        place: Place,
        /// The key is protected by a secret.
        protected: bool,
    },
    /// The person said yes.
    Consent {},
    /// The key is in its file.
    GenerateKeys {
        /// DER of its `SubjectPublicKeyInfo`.
        public_key: Bytes,
    },
    /// The certificate is there.
    Request {
        /// Its DER.
        certificate: Bytes,
    },
    /// It is what was asked for, and its key works.
    Verify {},
    /// The files are where programs look for them.
    Install {},
    /// The new one is watched, the old one retired.
    RetireOld {},
}

impl Intent {
    /// The step that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::Preflight {} => Step::Preflight,
            Self::Consent {} => Step::Consent,
            Self::GenerateKeys { .. } => Step::GenerateKeys,
            Self::Request { .. } => Step::Request,
            Self::Verify { .. } => Step::Verify,
            Self::Install { .. } => Step::Install,
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
            Self::Verify {} => Step::Verify,
            Self::Install {} => Step::Install,
            Self::RetireOld {} => Step::RetireOld,
        }
    }
}

/// Bytes, as hex in text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        hex(&bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(hex_byte).collect();
        bytes.map(Self).ok_or_else(|| "not hexadecimal".to_owned())
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
    /// The files that it made, once they are in their place.
    pub made: Vec<Place>,
    /// Where it stands.
    pub phase: Phase,
    /// What keeps it from going on though even that could not be written down; gone with the next event.
    pub stalled: Option<Problem>,
}

impl Job {
    /// The job that begins so.
    pub fn new(start: Start, at: DateTime<Utc>) -> Self {
        Self {
            start,
            started: at,
            finished: None,
            outcomes: Vec::new(),
            installing: false,
            made: Vec::new(),
            phase: Phase::Ready,
            stalled: None,
        }
    }

    /// Applies what happened next. An event that cannot follow changes nothing.
    ///
    /// Whatever it says, an event that would put a file over the old certificate is none.
    pub fn apply(&mut self, event: &JobEvent, at: DateTime<Utc>) -> Result<(), IllegalEvent> {
        if self.overwrites_old(event) {
            return Err(IllegalEvent { event: "install over the old certificate".into(), phase: self.describe() });
        }
        let phase = match (&self.phase, event) {
            (Phase::Ready, JobEvent::Intended { intent }) if Some(intent.step()) == self.step() => {
                self.installing |= intent.step() == Step::Install;
                Phase::Intended(intent.clone())
            }
            (Phase::Intended(intent), JobEvent::Done { outcome }) if outcome.step() == intent.step() => {
                if let Intent::Install { files, .. } = intent {
                    self.made = files.iter().map(|file| file.target.clone()).collect();
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
            (Phase::Ready | Phase::Intended(_) | Phase::Waiting(..), JobEvent::Cancelled {}) => Phase::Cancelled,
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
        self.start.plan.steps().get(self.outcomes.len()).copied()
    }

    /// Whether nothing will happen to it any more.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Cancelled | Phase::Quarantined(_))
    }

    /// The state as views say it.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Ready | Phase::Intended(_) if self.stalled.is_some() => "waiting",
            Phase::Ready | Phase::Intended(_) => "running",
            Phase::Waiting(..) => "waiting",
            Phase::Done => "done",
            Phase::Cancelled => "cancelled",
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

    /// What Preflight found out: kind of key, new place, protected or not.
    pub fn preflight(&self) -> Option<(KeyAlgorithm, &Place, bool)> {
        self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Preflight { algorithm, place, protected } => Some((*algorithm, place, *protected)),
            _ => None,
        })
    }

    /// The new place, while it takes the old one's part.
    pub fn arriving(&self) -> Option<&Place> {
        match &self.phase {
            Phase::Intended(Intent::RetireOld { place }) | Phase::Waiting(_, Some(Intent::RetireOld { place })) => Some(place),
            _ => None,
        }
    }

    /// DER of the new key's public half, once it exists.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::GenerateKeys { public_key } => Some(public_key.0.as_slice()),
            _ => None,
        })
    }

    /// DER of the new certificate, once it exists.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Request { certificate } => Some(certificate.0.as_slice()),
            _ => None,
        })
    }

    fn overwrites_old(&self, event: &JobEvent) -> bool {
        let old = self.start.old.place.path();
        match event {
            JobEvent::Intended { intent: Intent::Install { files, .. } } => files.iter().any(|file| file.target.path() == old),
            _ => false,
        }
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
            Self::Cancelled {} => "cancelled".into(),
        }
    }
}

#[cfg(test)]
mod tests;
