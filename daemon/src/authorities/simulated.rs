//! The authority of rehearsals and tests: as strict as a real one, in a directory of its own. Owns its key, its rules and what it
//! has issued; how requests come to it is not its business. The cryptography is obnova-helper's.

mod ledger;

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, Utc};
use obnova_core::{Certificate, Fingerprint};
use tokio::task::spawn_blocking;

use crate::helper::{Helper, HelperError, Issued, KeyAlgorithm, Validity};
use ledger::{Entry, Ledger};

pub use ledger::Counts;

/// What the authority is called.
const NAME: &str = "Obnova simulated authority";

/// The authority is as old as any clock, and outlives what it issues (RFC 5280 section 4.1.2.5: "no well-defined expiration").
const FIRST: DateTime<Utc> = DateTime::from_timestamp_secs(946_684_800).expect("2000-01-01T00:00:00Z");
const LAST: DateTime<Utc> = DateTime::from_timestamp_secs(253_402_300_799).expect("9999-12-31T23:59:59Z");

/// How the authority issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For how many days a certificate is valid.
    pub validity_days: u32,
    /// Whether it holds the certificates back until it has been asked once, as if a payment were on its way.
    pub pause: bool,
}

/// Why the authority does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no request.
    #[error("nothing is requested")]
    Nothing,
    /// The request is broken, is not signed by whom it must be, or asks for more than is given.
    #[error("the request is not acceptable: {0}")]
    Unacceptable(String),
    /// The certificate that is to be renewed has expired, or is not valid yet.
    #[error("the old certificate is not valid now")]
    NotValid,
    /// Subject or alternative names are not the old certificate's.
    #[error("the request is for somebody else than the old certificate")]
    OtherHolder,
    /// The key is an old one, or was certified before.
    #[error("the key is not new")]
    KeyUsed,
    /// The key is weaker than the old one.
    #[error("the key is weaker than the old one")]
    WeakerKey,
    /// There is no such order.
    #[error("no such order")]
    NoSuchOrder,
    /// The certificates are not issued yet.
    #[error("not issued yet")]
    NotYet,
    /// The authority itself does not work; it has refused nothing.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why the authority does not work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// obnova-helper failed.
    #[error("the simulated authority cannot sign")]
    Helper(#[source] HelperError),
    /// Its files cannot be read or written.
    #[error("the simulated authority's files at {path} cannot be used")]
    Files {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its ledger is none. What it has issued is not forgotten over that.
    #[error("the simulated authority's ledger in {path} is damaged")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// An authority that has a directory.
///
/// Everything that it knows is in one file there, `ledger.json`, which is replaced whole: an order and its certificates exist
/// together or not at all, wherever a crash falls. Several of them, in several processes, may share the directory.
#[derive(Clone, Debug)]
pub struct Simulated {
    directory: PathBuf,
    helper: Helper,
}

impl Simulated {
    /// The authority in `directory`, which is made, with the authority's key and certificate, when first needed; its parent
    /// must exist.
    pub fn at(directory: PathBuf, helper: Helper) -> Self {
        Self { directory, helper }
    }

    /// The authority's own certificate (DER).
    pub async fn ca(&self) -> Result<Vec<u8>, Refusal> {
        if let Some(ledger) = self.ledger().await? {
            return Ok(ledger.authority.0);
        }
        let directory = self.directory.clone();
        // Two that make the one key at once would spoil each other's file: held until the certificate is there, too.
        let _turn = self.on_disk(move || take_turn(&directory)).await?;
        if let Some(ledger) = self.ledger().await? {
            return Ok(ledger.authority.0);
        }
        let key = self.key();
        // A crash may have left a key without a certificate: it is as good as a new one.
        if self.helper.public_half(&key).await.map_err(Failure::Helper)?.is_none() {
            self.helper.generate(KeyAlgorithm::P256, &key, None).await.map_err(Failure::Helper)?;
        }
        let validity = Validity { not_before: FIRST, not_after: LAST };
        let certificate = self.helper.establish(&key, NAME, validity).await.map_err(Failure::Helper)?;
        let directory = self.directory.clone();
        let authority = self.on_disk(move || {
            ledger::change(&directory, |ledger| ledger.get_or_insert_with(|| Ledger::new(certificate)).authority.clone())
        });
        Ok(authority.await?.0)
    }

    /// Takes the requests of one identity, all or none, and returns the name of the order. The very same messages again bring
    /// the same order, and nothing is issued twice.
    ///
    /// Each message must be signed by the certificate that it renews, which must be valid at `now`; the request in it by the
    /// new key, which must be no weaker and nowhere known; and subject and alternative names must be the old ones.
    pub async fn submit(&self, messages: &[&[u8]], rules: Rules, now: DateTime<Utc>) -> Result<String, Refusal> {
        if messages.is_empty() {
            return Err(Refusal::Nothing);
        }
        let authority = self.ca().await?;
        let entries = if self.order_of(messages).await?.is_some() {
            // Known already, and so never read again. Should it have gone meanwhile, it does not come back empty.
            Err(Refusal::NoSuchOrder)
        } else {
            match self.judge_all(messages, &authority, rules, now).await {
                // It is not the request's fault, and may be asked again.
                Err(Refusal::Failed(failure)) => return Err(failure.into()),
                judged => judged,
            }
        };
        let (digest, received) = (digest(messages), messages.len() as u64);
        let directory = self.directory.clone();
        let entered = self.on_disk(move || {
            ledger::change(&directory, |ledger| {
                ledger.as_mut().map(|ledger| ledger.enter(digest, received, entries, rules.pause))
            })
        });
        entered.await?.ok_or_else(|| self.vanished())?
    }

    /// The order of exactly these messages, if there is one. Changes nothing.
    pub async fn order_of(&self, messages: &[&[u8]]) -> Result<Option<String>, Refusal> {
        let ledger = self.ledger().await?;
        Ok(ledger.and_then(|ledger| ledger.order_of(digest(messages)).map(str::to_owned)))
    }

    /// Whether the certificates of an order are issued. Where the rules said pause, the first question finds that they are
    /// not, and the second that they are.
    pub async fn issued(&self, order: &str) -> Result<bool, Refusal> {
        let (directory, order) = (self.directory.clone(), order.to_owned());
        let asked =
            self.on_disk(move || ledger::change(&directory, |ledger| ledger.as_mut().and_then(|ledger| ledger.ask(&order))));
        asked.await?.ok_or(Refusal::NoSuchOrder)
    }

    /// The certificates (DER) of an order, in the order of its requests; [`Refusal::NotYet`] until [`issued`](Self::issued)
    /// has said so, where the rules said pause.
    pub async fn fetch(&self, order: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        self.ledger().await?.ok_or(Refusal::NoSuchOrder)?.fetch(order)
    }

    /// What it has received and issued so far.
    pub async fn counts(&self) -> Result<Counts, Refusal> {
        Ok(self.ledger().await?.map(|ledger| ledger.counts).unwrap_or_default())
    }

    async fn judge_all(
        &self,
        messages: &[&[u8]],
        authority: &[u8],
        rules: Rules,
        now: DateTime<Utc>,
    ) -> Result<Vec<Entry>, Refusal> {
        let end = now.checked_add_days(Days::new(rules.validity_days.into())).map_or(LAST, |end| end.min(LAST));
        let validity = Validity { not_before: now, not_after: end };
        let mut entries = Vec::new();
        for message in messages {
            let issued = self.helper.issue(message, &self.key(), authority, validity).await.map_err(of_helper)?;
            entries.push(judge(issued, now)?);
        }
        Ok(entries)
    }

    async fn ledger(&self) -> Result<Option<Ledger>, Refusal> {
        let directory = self.directory.clone();
        self.on_disk(move || ledger::read(&directory)).await.map_err(Refusal::Failed)
    }

    /// Does what may wait for the disk elsewhere than where everybody else waits.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = spawn_blocking(work).await;
        done.map_err(|error| Failure::Files { path: self.directory.clone(), source: error.into() })?
    }

    fn key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    /// The ledger was there a moment ago.
    fn vanished(&self) -> Failure {
        Failure::Files { path: self.directory.clone(), source: io::ErrorKind::NotFound.into() }
    }
}

/// What would be issued, if it may be: judged by the certificate itself, so that nothing else can come out than was judged.
fn judge(issued: Issued, now: DateTime<Utc>) -> Result<Entry, Refusal> {
    let read = |der: &[u8]| Certificate::from_der(der).map_err(|error| Refusal::Unacceptable(error.to_string()));
    let (old, new) = (read(&issued.renews)?, read(&issued.certificate)?);
    if now < old.not_before || old.not_after.timestamp() < now.timestamp() {
        return Err(Refusal::NotValid);
    }
    if new.holder != old.holder {
        return Err(Refusal::OtherHolder);
    }
    if new.key.strength() < old.key.strength() {
        return Err(Refusal::WeakerKey);
    }
    Ok(Entry { old_key: old.public_key, new_key: new.public_key, certificate: issued.certificate })
}

/// Tells what is wrong with the request from what is wrong here.
fn of_helper(error: HelperError) -> Refusal {
    match error {
        HelperError::Unacceptable { detail } | HelperError::Broken { detail } | HelperError::Unsupported { detail } => {
            Refusal::Unacceptable(detail)
        }
        other => Failure::Helper(other).into(),
    }
}

/// One digest for several messages: another order of the same ones is another submission.
fn digest(messages: &[&[u8]]) -> Fingerprint {
    let digests: Vec<u8> = messages.iter().flat_map(|message| Fingerprint::of(message).0).collect();
    Fingerprint::of(&digests)
}

/// Makes the directory, if it is not there, and waits until nobody else establishes the authority in it.
fn take_turn(directory: &Path) -> Result<File, Failure> {
    let taken = || {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // What will be in it is promised to others: the directory must still be there after a loss of power.
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let lock = File::create(directory.join("ca.lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    taken().map_err(|source| Failure::Files { path: directory.to_owned(), source })
}
