//! What mails and people bring to a renewal that waits for its authority: certificates for its own keys. Nothing else gets in, and
//! nothing of it is believed before it is judged.

use super::{Bytes, Job, Outcome, Phase};
use crate::certificate::{Certificate, Fingerprint};
use crate::plan::Step;

/// How many certificates are kept: somebody may bring wrong ones, and the right one after them.
const MOST: usize = 16;

impl Job {
    /// Whether the job waits for this certificate (DER): its requests are out, nothing has been taken yet, and it is for one of the new
    /// keys.
    pub fn awaits(&self, certificate: &Bytes) -> bool {
        let sent = self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Submit { .. }));
        let waits = sent && matches!(self.step(), Some(Step::AwaitIssue | Step::Fetch)) && !self.is_ended();
        let new = self.brought.len() < MOST && !self.brought.contains(certificate);
        waits && new && self.key_of(&certificate.0).is_some()
    }

    /// The certificates (DER) that were brought for one of the new keys, the last first; `member`: its index.
    pub fn brought_for(&self, member: usize) -> Vec<&[u8]> {
        let ders = self.brought.iter().rev().map(|der| der.0.as_slice());
        ders.filter(|der| self.key_of(der) == Some(member)).collect()
    }

    /// Whether a certificate was brought for each of the new keys.
    pub fn is_brought_whole(&self) -> bool {
        (0..self.start.old.len()).all(|member| !self.brought_for(member).is_empty())
    }

    /// Takes a certificate that it awaits. With one for each key, the job goes on.
    pub(super) fn take(&mut self, certificate: Bytes) -> Phase {
        self.brought.push(certificate);
        match &self.phase {
            Phase::Waiting(_, intent) if self.is_brought_whole() => intent.clone().map_or(Phase::Ready, Phase::Intended),
            other => other.clone(),
        }
    }

    /// The index of the new key that this certificate (DER) is for.
    fn key_of(&self, der: &[u8]) -> Option<usize> {
        let certified = Certificate::from_der(der).ok()?.public_key;
        (0..self.start.old.len()).find(|member| self.public_key(*member).map(Fingerprint::of) == Some(certified))
    }
}
