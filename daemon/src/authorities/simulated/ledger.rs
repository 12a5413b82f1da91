//! What the simulated authority has received and issued: one small JSON file, replaced whole under a lock. Knows no cryptography.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use obnova_core::Fingerprint;
use serde::{Deserialize, Serialize};

use super::{Failure, Refusal};
use crate::helper::Bytes;
use crate::random;

/// The file in the authority's directory.
const FILE: &str = "ledger.json";

/// Numbers of what happened, for those who want to see that it happened once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that arrived, repeated and refused ones included.
    pub requests: u64,
    /// Requests that were refused, alone or with another one of their submission.
    pub refused: u64,
    /// Orders that were accepted.
    pub orders: u64,
    /// Certificates that were made for them.
    pub certificates: u64,
}

/// All that the authority knows. The counts stand beside the rest in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// The authority's own certificate (DER).
    pub(super) authority: Bytes,
    accepted: Vec<Order>,
}

/// What one submission has brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    name: String,
    /// Digest of the messages.
    messages: Fingerprint,
    state: State,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Held back, and nobody has asked yet.
    Unpaid,
    /// Held back, and somebody has asked: the payment is on its way.
    Paying,
    Issued,
}

/// One certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Digest of the renewed certificate's key.
    pub(super) old_key: Fingerprint,
    /// Digest of the certificate's key.
    pub(super) new_key: Fingerprint,
    /// The certificate (DER).
    pub(super) certificate: Bytes,
}

impl Ledger {
    pub(super) fn new(authority: Vec<u8>) -> Self {
        Self { counts: Counts::default(), authority: Bytes(authority), accepted: Vec::new() }
    }

    pub(super) fn order_of(&self, messages: Fingerprint) -> Option<&str> {
        self.accepted.iter().find(|order| order.messages == messages).map(|order| order.name.as_str())
    }

    /// Books a submission of so many requests, and returns its order. One that is there already wins over `judged`.
    pub(super) fn enter(
        &mut self,
        messages: Fingerprint,
        received: u64,
        judged: Result<Vec<Entry>, Refusal>,
        pause: bool,
    ) -> Result<String, Refusal> {
        self.counts.requests += received;
        if let Some(order) = self.order_of(messages) {
            return Ok(order.to_owned());
        }
        let judged = judged.and_then(|entries| if self.knows_a_key_of(&entries) { Err(Refusal::KeyUsed) } else { Ok(entries) });
        let entries = judged.inspect_err(|_| self.counts.refused += received)?;
        self.counts.orders += 1;
        self.counts.certificates += entries.len() as u64;
        let (name, state) = (random::hex(16), if pause { State::Unpaid } else { State::Issued });
        self.accepted.push(Order { name: name.clone(), messages, state, entries });
        Ok(name)
    }

    /// Answers whether an order is issued, and lets its payment proceed; `None` if there is no such order.
    pub(super) fn ask(&mut self, name: &str) -> Option<bool> {
        let order = self.accepted.iter_mut().find(|order| order.name == name)?;
        let (answer, next) = match order.state {
            State::Unpaid => (false, State::Paying),
            State::Paying | State::Issued => (true, State::Issued),
        };
        order.state = next;
        Some(answer)
    }

    pub(super) fn fetch(self, name: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        let order = self.accepted.into_iter().find(|order| order.name == name).ok_or(Refusal::NoSuchOrder)?;
        match order.state {
            State::Issued => Ok(order.entries.into_iter().map(|entry| entry.certificate.0).collect()),
            State::Unpaid | State::Paying => Err(Refusal::NotYet),
        }
    }

    /// Whether a new key is an old one of the same submission, comes twice in it, or stands in the ledger.
    fn knows_a_key_of(&self, entries: &[Entry]) -> bool {
        let booked = || self.accepted.iter().flat_map(|order| &order.entries);
        entries.iter().enumerate().any(|(position, entry)| {
            let known = |other: &Entry| [other.old_key, other.new_key].contains(&entry.new_key);
            entries.iter().any(|other| other.old_key == entry.new_key) || entries[..position].iter().chain(booked()).any(known)
        })
    }
}

/// The ledger in a directory; `None` if there is none yet.
pub(super) fn read(directory: &Path) -> Result<Option<Ledger>, Failure> {
    let content = match fs::read(directory.join(FILE)) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::Files { path: directory.to_owned(), source }),
    };
    serde_json::from_slice(&content).map_err(|source| Failure::Damaged { path: directory.to_owned(), source })
}

/// Reads the ledger, changes it, and makes that durable before it says so, all while nobody else does.
pub(super) fn change<T>(directory: &Path, change: impl FnOnce(&mut Option<Ledger>) -> T) -> Result<T, Failure> {
    let failed = |source| Failure::Files { path: directory.to_owned(), source };
    let handle = match File::open(directory) {
        Ok(handle) => handle,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Nothing was established here, and nothing can be written.
            let mut nothing = None;
            let answer = change(&mut nothing);
            return if nothing.is_none() { Ok(answer) } else { Err(failed(error)) };
        }
        Err(error) => return Err(failed(error)),
    };
    handle.lock().map_err(failed)?;
    let before = read(directory)?;
    let mut ledger = before.clone();
    let answer = change(&mut ledger);
    if let Some(after) = ledger.filter(|after| before.as_ref() != Some(after)) {
        let content = serde_json::to_vec_pretty(&after);
        let content = content.map_err(|source| Failure::Damaged { path: directory.to_owned(), source })?;
        replace(&handle, directory, &content).map_err(failed)?;
    }
    Ok(answer)
}

fn replace(handle: &File, directory: &Path, content: &[u8]) -> io::Result<()> {
    let (path, temporary) = (directory.join(FILE), directory.join("ledger.json.tmp"));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    handle.sync_all()
}
