//! The journal: everything that a person or a job did, and a cache of what was seen, in one SQLite database on a thread of its
//! own. What the records mean is core's; this module writes them so that they survive a power cut, and proves that none changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use chrono::{DateTime, Utc};
use obnova_core::record::{Entry, Record};
use obnova_core::revocation::Checked;
use obnova_core::{Certificate, Fingerprint, Place};
use tokio::sync::oneshot;

use crate::stores::Stamp;

mod checks;
mod database;
mod marks;
mod seen;

use database::Database;
pub use marks::MOST_MARKS;

/// The handle to the journal. When the last one is dropped the thread ends and the database is closed.
#[derive(Clone, Debug)]
pub struct Journal {
    commands: mpsc::Sender<Command>,
    path: Arc<Path>,
}

/// What a journal held when it was opened: to be read once, piece by piece, since it may be more than should be in memory at a
/// time. Until [`Contents::serve`] nobody answers the [`Journal`].
pub struct Contents {
    database: Database,
    commands: mpsc::Receiver<Command>,
}

impl Contents {
    /// Hands over all records, in order, once the running hash has shown that each is what was written. Blocks.
    pub fn records<E: From<JournalError>>(&mut self, take: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        self.database.replay(take)
    }

    /// Hands over what was last seen in the places, in their order. Blocks.
    pub fn seen(&mut self, take: impl FnMut(Seen)) -> Result<(), JournalError> {
        self.database.seen(take)
    }

    /// Hands over what was found out about certificates. Blocks.
    pub fn checks(&mut self, take: impl FnMut(Fingerprint, Checked)) -> Result<(), JournalError> {
        self.database.checks(take)
    }

    /// Whether no record has ever been written. All have been read.
    pub fn is_new(&self) -> bool {
        self.database.head().0 == 0
    }

    /// Appends records before anybody else can. Blocks.
    pub fn append(&mut self, at: DateTime<Utc>, records: Vec<Record>) -> Result<Vec<Entry>, JournalError> {
        self.database.append(at, records)
    }

    /// Begins to answer, on a thread of its own. All records have been read.
    pub fn serve(self) -> Result<(), JournalError> {
        let Self { database, commands } = self;
        database.shrink()?;
        let thread = std::thread::Builder::new().name("journal".into()).stack_size(256 * 1024);
        thread.spawn(move || serve(database, &commands)).map(drop).map_err(JournalError::Thread)
    }
}

/// What was last seen in a place.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The place.
    pub place: Place,
    /// What its file looked like from outside.
    pub stamp: Stamp,
    /// It could be read then; else the certificates are older than the stamp.
    pub readable: bool,
    /// The certificates and whether their key lies with them.
    pub certificates: Vec<(Arc<Certificate>, bool)>,
}

/// What is to be remembered of a place: its new look (with the DER of its certificates where it was read), or that it is gone.
#[derive(Debug)]
pub struct Remember {
    /// What was seen; `None`: forget the place.
    pub seen: Option<Seen>,
    /// The place.
    pub place: Place,
    /// DER of certificates that may not be known yet.
    pub der: Vec<Vec<u8>>,
}

/// That something in a mailbox was read: kept as long as it can come again, and bounded in number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What was read, unique in its mailbox.
    pub name: String,
    /// When it came, to the second.
    pub at: DateTime<Utc>,
    /// How far.
    pub value: String,
}

/// Which records the log shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    /// Only those behind this one.
    pub after: u64,
    /// Only those written at or after this moment.
    pub since: Option<DateTime<Utc>>,
    /// Only so many of the newest.
    pub last: Option<u32>,
    /// At most so many.
    pub limit: u32,
}

/// What went wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It is not what was written.
    #[error("the journal {path} is damaged: {detail}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What contradicts what.
        detail: String,
    },
    /// A newer version wrote it.
    #[error("the journal {0} was written by a newer version of obnovad")]
    Newer(PathBuf),
    /// The file cannot be opened or made.
    #[error("the journal {path} cannot be opened")]
    Unusable {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("the disk of the journal {0} is full")]
    Full(PathBuf),
    /// SQLite failed otherwise.
    #[error("the journal {path} cannot be used")]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The thread is gone.
    #[error("the journal is closed")]
    Closed,
    /// The thread could not be started.
    #[error("no thread for the journal")]
    Thread(#[source] std::io::Error),
}

type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

enum Command {
    Append(DateTime<Utc>, Vec<Record>, Reply<Vec<Entry>>),
    Remember(Vec<Remember>, Reply<()>),
    Read(Query, Reply<Vec<Entry>>),
    Der(Fingerprint, Reply<Option<Vec<u8>>>),
    Marks(String, Reply<Vec<Mark>>),
    Mark(String, Vec<Mark>, Reply<()>),
    Unmark(String, Reply<()>),
    KeepCheck(Fingerprint, Box<Checked>, Reply<()>),
    KeepIssuers(Vec<Vec<u8>>, DateTime<Utc>, Reply<()>),
    Issuers(String, Reply<Vec<Vec<u8>>>),
    Head(Reply<(u64, Fingerprint)>),
    Close(Reply<()>),
}

impl Journal {
    /// Opens (or begins) the journal in a state directory, and brings it to the present schema. Blocks.
    pub fn open(directory: &Path) -> Result<(Self, Contents), JournalError> {
        let path = directory.join("journal.sqlite");
        let database = Database::open(&path)?;
        let (sender, commands) = mpsc::channel();
        Ok((Self { commands: sender, path: path.into() }, Contents { database, commands }))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends records, all or none; they have reached the disk when this returns.
    pub async fn append(&self, at: DateTime<Utc>, records: Vec<Record>) -> Result<Vec<Entry>, JournalError> {
        self.ask(|reply| Command::Append(at, records, reply)).await
    }

    /// Remembers what was seen. A cache: losing it costs a look, not knowledge.
    pub async fn remember(&self, changes: Vec<Remember>) -> Result<(), JournalError> {
        self.ask(|reply| Command::Remember(changes, reply)).await
    }

    /// Reads a part of the journal.
    pub async fn read(&self, query: Query) -> Result<Vec<Entry>, JournalError> {
        self.ask(|reply| Command::Read(query, reply)).await
    }

    /// The DER of a certificate that was seen.
    pub async fn der(&self, certificate: Fingerprint) -> Result<Option<Vec<u8>>, JournalError> {
        self.ask(|reply| Command::Der(certificate, reply)).await
    }

    /// What was read in a mailbox, the newest first.
    pub async fn marks(&self, mailbox: String) -> Result<Vec<Mark>, JournalError> {
        self.ask(|reply| Command::Marks(mailbox, reply)).await
    }

    /// Marks what was read in a mailbox. Of more than [`MOST_MARKS`] the oldest are forgotten.
    pub async fn mark(&self, mailbox: String, marks: Vec<Mark>) -> Result<(), JournalError> {
        self.ask(|reply| Command::Mark(mailbox, marks, reply)).await
    }

    /// Forgets what was read in a mailbox.
    pub async fn unmark(&self, mailbox: String) -> Result<(), JournalError> {
        self.ask(|reply| Command::Unmark(mailbox, reply)).await
    }

    /// Keeps what was found out about a certificate. A cache: losing it costs a question, not knowledge.
    pub async fn keep_check(&self, certificate: Fingerprint, checked: Checked) -> Result<(), JournalError> {
        self.ask(|reply| Command::KeepCheck(certificate, Box::new(checked), reply)).await
    }

    /// Keeps certificates (DER) of authorities that were fetched. A cache, likewise.
    pub async fn keep_issuers(&self, issuers: Vec<Vec<u8>>, at: DateTime<Utc>) -> Result<(), JournalError> {
        self.ask(|reply| Command::KeepIssuers(issuers, at, reply)).await
    }

    /// The certificates (DER) with this subject (RFC 4514) that were fetched.
    pub async fn issuers(&self, subject: String) -> Result<Vec<Vec<u8>>, JournalError> {
        self.ask(|reply| Command::Issuers(subject, reply)).await
    }

    /// The newest record's position and the running hash over all records up to it.
    pub async fn head(&self) -> Result<(u64, Fingerprint), JournalError> {
        self.ask(Command::Head).await
    }

    /// Closes the database, so that its one file holds everything and can be copied. Nothing can be asked afterwards.
    pub async fn close(&self) -> Result<(), JournalError> {
        self.ask(Command::Close).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }
}

fn serve(mut database: Database, commands: &mpsc::Receiver<Command>) {
    // Whoever asked may have gone meanwhile: then nobody misses the answer.
    for command in commands {
        match command {
            Command::Append(at, records, reply) => drop(reply.send(database.append(at, records))),
            Command::Remember(changes, reply) => drop(reply.send(database.remember(&changes))),
            Command::Read(query, reply) => drop(reply.send(database.entries(query))),
            Command::Der(certificate, reply) => drop(reply.send(database.der(certificate))),
            Command::Marks(mailbox, reply) => drop(reply.send(database.marks(&mailbox))),
            Command::Mark(mailbox, marks, reply) => drop(reply.send(database.mark(&mailbox, &marks))),
            Command::Unmark(mailbox, reply) => drop(reply.send(database.unmark(&mailbox))),
            Command::KeepCheck(certificate, checked, reply) => drop(reply.send(database.keep_check(certificate, &checked))),
            Command::KeepIssuers(issuers, at, reply) => drop(reply.send(database.keep_issuers(&issuers, at))),
            Command::Issuers(subject, reply) => drop(reply.send(database.issuers(&subject))),
            Command::Head(reply) => drop(reply.send(Ok(database.head()))),
            Command::Close(reply) => {
                drop(reply.send(database.close()));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
