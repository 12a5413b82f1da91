//! What the steps of a renewal have brought so far, read from their outcomes.

use super::{Bytes, FoundKeys, Home, Job, Made, NewKey, Outcome};

impl Job {
    /// What is known of the new keys, and whether a secret protects them: what Preflight found out or, where other programs make
    /// them, what was found later.
    pub fn preflight(&self) -> Option<(&[NewKey], bool)> {
        self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Preflight { keys, protected, .. } | Outcome::Fetch { found: Some(FoundKeys { keys, protected }), .. } => {
                Some((keys.as_slice(), *protected))
            }
            _ => None,
        })
    }

    /// DER of an old certificate, where the job itself keeps it; `member`: its index.
    pub fn kept_old(&self, member: usize) -> Option<&[u8]> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Preflight { keys, .. } => match &keys.get(member)?.home {
                Home::Others(old) => Some(old.0.as_slice()),
                Home::File(_) | Home::Card(_) | Home::There(_) => None,
            },
            _ => None,
        })
    }

    /// DER of the subject that the new certificates bear, where that is another than the old ones': as the person was told.
    pub fn new_subject(&self) -> Option<&[u8]> {
        let told = |outcome: &Outcome| matches!(outcome, Outcome::Preflight { .. });
        match self.outcomes.iter().rev().find(|outcome| told(outcome))? {
            Outcome::Preflight { subject, .. } => subject.as_ref().map(|subject| subject.0.as_slice()),
            _ => None,
        }
    }

    /// DER of a new key's public half, once it exists; `member`: the index of the old certificate.
    pub fn public_key(&self, member: usize) -> Option<&[u8]> {
        let made = self.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::GenerateKeys { public_key } => Some(public_key.0.as_slice()),
            _ => None,
        });
        made.into_iter().nth(member)
    }

    /// DER of a new certificate, once it exists; `member`: the index of the old one.
    pub fn certificate(&self, member: usize) -> Option<&[u8]> {
        let fetched = self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Fetch { certificates, .. } => Some(certificates.get(member)?.0.as_slice()),
            _ => None,
        });
        let made = || match self.made(member)? {
            Made::Certificate(der) => Some(der.0.as_slice()),
            Made::Message(_) => None,
        };
        let there = || match &self.preflight()?.0.get(member)?.home {
            Home::There(der) => Some(der.0.as_slice()),
            Home::File(_) | Home::Card(_) | Home::Others(_) => None,
        };
        fetched.or_else(made).or_else(there)
    }

    /// The messages that are sent to the authority, in the order of the old certificates.
    pub fn messages(&self) -> Vec<&[u8]> {
        let made = (0..self.start.old.len()).filter_map(|member| self.made(member));
        made.filter_map(|made| if let Made::Message(message) = made { Some(message.0.as_slice()) } else { None }).collect()
    }

    /// How the authority calls what was ordered.
    pub fn order(&self) -> Option<&str> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Submit { order, .. } => Some(order.as_str()),
            _ => None,
        })
    }

    /// What the authority has handed over before it was fetched (DER).
    pub fn issued(&self) -> Option<&[Bytes]> {
        self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Submit { issued, .. } | Outcome::AwaitIssue { issued } if !issued.is_empty() => Some(issued.as_slice()),
            _ => None,
        })
    }

    /// What came with the new certificates (DER).
    pub fn chain(&self) -> &[Bytes] {
        let chain = self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Fetch { chain, .. } => Some(chain.as_slice()),
            _ => None,
        });
        chain.unwrap_or_default()
    }

    /// The words for what new certificates say otherwise than was asked for, and to which the person has agreed.
    pub fn accepted(&self) -> impl Iterator<Item = &str> {
        let accepted = self.outcomes.iter().flat_map(|outcome| match outcome {
            Outcome::Fetch { accepted, .. } | Outcome::Verify { accepted } => accepted.as_slice(),
            _ => &[],
        });
        accepted.map(String::as_str)
    }

    fn made(&self, member: usize) -> Option<&Made> {
        let made = self.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Request { made } => Some(made),
            _ => None,
        });
        made.into_iter().nth(member)
    }
}
