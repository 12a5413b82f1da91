//! The mailboxes: which of them are read, one task for each, and what becomes of the mails that come. How one is reached is `maildir`'s and `imap`'s;
//! what a mail says is found out in obnova-courier, and what it means is decided in `core`.

mod doorbell;
mod imap;
mod maildir;
mod network;
mod secrets;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use obnova_core::mail::Facts;
use obnova_core::mailbox::{SecretSource, Standing};
use obnova_core::record::Record;
use obnova_core::{ItemId, Mailbox, Problem};
use obnova_secret::Secret;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::Clock;
use crate::courier::Courier;
use crate::credentials::Credentials;
use crate::engine::{Engine, journal_problem};
use crate::journal::Mark;
use crate::keyring::Keyring;

/// The mailboxes. Cheap to clone.
#[derive(Clone)]
pub struct Mailboxes(Arc<Tools>);

/// What reading mailboxes takes.
struct Tools {
    engine: Engine,
    courier: Courier,
    /// The servers whose Authentication-Results the person trusts, in lower case.
    servers: Arc<[String]>,
    keyring: Keyring,
    credentials: Credentials,
    /// Tells when the computer has slept.
    clock: Arc<dyn Clock>,
    /// The tasks by the addresses of their mailboxes.
    running: Mutex<BTreeMap<String, Running>>,
    /// Counts the jumps of the clock, as soon as somebody wants to know.
    moved: OnceLock<watch::Sender<u64>>,
}

/// A mailbox that is read.
struct Running {
    task: JoinHandle<()>,
    /// Has it tried again now.
    again: Arc<Notify>,
}

impl Mailboxes {
    /// Reads none yet.
    pub(crate) fn new(
        engine: Engine,
        courier: Courier,
        servers: Arc<[String]>,
        keyring: Keyring,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (running, moved) = (Mutex::default(), OnceLock::new());
        Self(Arc::new(Tools { engine, courier, servers, keyring, credentials, clock, running, moved }))
    }

    /// Begins to read those that are known. Must be called on the thread whose runtime drives the courier.
    pub(crate) async fn begin(&self) -> Result<(), Problem> {
        let known = self.0.engine.read(|state| state.world.mailboxes().cloned().collect::<Vec<Mailbox>>());
        known.await?.into_iter().for_each(|mailbox| self.start(mailbox));
        Ok(())
    }

    /// Reads those, too, that the configuration names. One that it does not name any more is still read.
    pub(crate) async fn configure(&self, named: Vec<Mailbox>) -> Result<(), Problem> {
        for mailbox in named {
            let (address, wanted) = (mailbox.address(), mailbox.clone());
            let known = self.0.engine.read(move |state| state.world.mailbox(&address) == Some(&wanted));
            if !known.await? {
                self.take_up(mailbox).await?;
            }
        }
        Ok(())
    }

    /// Adds a mailbox that can be read now; the id of its item. `secret`: by which one logs in, where that is to be kept in the keyring.
    pub(crate) async fn add(&self, mailbox: Mailbox, secret: Option<&Secret>) -> Result<ItemId, Problem> {
        self.try_out(&mailbox, secret).await?;
        if let Some(secret) = secret {
            self.0.keyring.keep_at(&mailbox.address(), &mailbox.name(), secret).await?;
        }
        let address = mailbox.address();
        self.take_up(mailbox).await?;
        self.0.engine.read(move |state| state.world.mailbox_id(&address)).await
    }

    /// Looks whether a mailbox can be read now.
    pub(crate) async fn test(&self, mailbox: &Mailbox) -> Result<(), Problem> {
        self.try_out(mailbox, None).await?;
        // It can be, and if it was not reached before, it is now.
        self.again(&mailbox.address());
        Ok(())
    }

    /// Looks whether this secret opens a mailbox, keeps it if it does, and has the mailbox read.
    pub(crate) async fn sign_in(&self, mailbox: &Mailbox, secret: &Secret) -> Result<(), Problem> {
        self.try_out(mailbox, Some(secret)).await?;
        self.0.keyring.keep_at(&mailbox.address(), &mailbox.name(), secret).await?;
        self.again(&mailbox.address());
        Ok(())
    }

    /// Has a mailbox that is not reached tried again now.
    pub(crate) fn again(&self, address: &str) {
        if let Some(running) = self.running().get(address) {
            running.again.notify_one();
        }
    }

    /// Looks whether a mailbox can be read now, with this secret or the one that is at hand.
    pub(crate) async fn try_out(&self, mailbox: &Mailbox, secret: Option<&Secret>) -> Result<(), Problem> {
        match mailbox {
            Mailbox::Maildir { directory } => maildir::test(directory.path()).await,
            Mailbox::Imap(imap) => match secret {
                Some(secret) => imap::test(&self.0, imap, secret).await,
                None => imap::test(&self.0, imap, &secrets::find(&self.0, imap, &mailbox.address()).await?).await,
            },
        }
    }

    /// The mailbox whose item has this id.
    pub(crate) async fn by_id(&self, id: ItemId) -> Result<Option<Mailbox>, Problem> {
        self.0.engine.read(move |state| state.world.mailbox_by_id(id).cloned()).await
    }

    /// Reads a mailbox no more, and forgets what was read in it; the letters stay.
    pub(crate) async fn remove(&self, mailbox: &Mailbox) -> Result<(), Problem> {
        let address = mailbox.address();
        self.halt(&address).await;
        let removed = Record::MailboxRemoved { address: address.clone() };
        self.0.engine.write(move |_, _| Ok(vec![removed])).await?;
        if let Mailbox::Imap(imap) = mailbox
            && imap.secret == SecretSource::Keyring
            && let Err(problem) = self.0.keyring.forget_at(&address).await
        {
            tracing::warn!(kind = problem.kind(), "the password of a mailbox stays in the keyring");
        }
        self.0.engine.journal().unmark(address).await.map_err(|error| journal_problem(&error))
    }

    /// Ends all tasks.
    pub(crate) fn stop(&self) {
        for running in std::mem::take(&mut *self.running()).into_values() {
            running.task.abort();
        }
    }

    async fn take_up(&self, mailbox: Mailbox) -> Result<(), Problem> {
        self.halt(&mailbox.address()).await;
        let added = Record::MailboxAdded { mailbox: Box::new(mailbox.clone()) };
        self.0.engine.write(move |_, _| Ok(vec![added])).await?;
        self.start(mailbox);
        Ok(())
    }

    fn start(&self, mailbox: Mailbox) {
        let (tools, address, again) = (Arc::clone(&self.0), mailbox.address(), Arc::new(Notify::new()));
        let (own, wanted) = (address.clone(), Arc::clone(&again));
        let task = tokio::spawn(async move {
            match mailbox {
                Mailbox::Maildir { directory } => maildir::keep(&tools, directory.path(), own).await,
                Mailbox::Imap(imap) => imap::keep(&tools, *imap, own, wanted, tools.moves()).await,
            }
        });
        if let Some(before) = self.running().insert(address, Running { task, again }) {
            before.task.abort();
        }
    }

    /// Ends the task of a mailbox, and waits until nothing of it is under way.
    async fn halt(&self, address: &str) {
        let running = self.running().remove(address);
        if let Some(Running { task, .. }) = running {
            task.abort();
            // It was ended: that is no failure.
            drop(task.await);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Maildir where most programs deliver to that deliver to one, if it is there. It needs no server and no password. Blocks.
pub(crate) fn usual() -> Option<Mailbox> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    let directory = home.join("Maildir");
    maildir::is_one(&directory)
        .then(|| Mailbox::Maildir { directory: obnova_core::Place::new(obnova_core::Scheme::File, &directory) })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|error| Problem::Internal { detail: error.to_string() })
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It need not be read again.
    Judged,
    /// A server could not be asked about it: reading it again may bring more.
    Unresolved,
}

/// Judges a mail by all programmes, and writes down what is to be kept of it. What renewals wait for is handed to them, unless a
/// programme takes the mail for a forged one: they judge it by themselves, whoever brings it.
pub(crate) async fn judge(engine: &Engine, servers: &Arc<[String]>, facts: Facts) -> Result<(), Problem> {
    let servers = Arc::clone(servers);
    let (digest, certificates) = (facts.digest, facts.certificates.clone());
    let decide = move |world: &obnova_core::World, now: obnova_core::Now| {
        let letters = world.judge_mail(&facts, &servers).into_iter();
        let wanted = letters.filter(|letter| world.letters().wants(letter, now.to_utc()));
        Ok(wanted.map(|letter| Record::Letter { letter: Box::new(letter) }).collect())
    };
    engine.write(decide).await?;
    if certificates.is_empty() {
        return Ok(());
    }
    let bring = move |world: &obnova_core::World, _| {
        Ok(if world.is_forged(&digest) { Vec::new() } else { world.awaited(&certificates) })
    };
    engine.write(bring).await
}

impl Tools {
    /// Tells of jumps of the clock. One task for all mailboxes waits for them, from the first on that wants to know.
    fn moves(&self) -> watch::Receiver<u64> {
        let tell = || {
            let sender = watch::Sender::new(0);
            match self.clock.another() {
                Ok(clock) => {
                    let told = sender.clone();
                    tokio::spawn(async move {
                        loop {
                            clock.sleep(None).await;
                            told.send_modify(|jumps| *jumps += 1);
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "mailboxes are not told that the computer has slept"),
            }
            sender
        };
        self.moved.get_or_init(tell).subscribe()
    }

    async fn take(&self, facts: Facts) -> Result<Taken, Problem> {
        let digest = facts.digest;
        judge(&self.engine, &self.servers, facts).await?;
        let unresolved = self
            .engine
            .read(move |state| state.world.letters().all_of(&digest).any(obnova_core::mail::Letter::is_worth_another_try));
        Ok(if unresolved.await? { Taken::Unresolved } else { Taken::Judged })
    }

    async fn stands(&self, address: &str, standing: Standing) -> Result<(), Problem> {
        self.engine.mailbox_stands(address.to_owned(), standing).await
    }

    async fn apart(&self, address: &str, problem: Problem) -> Result<(), Problem> {
        let since = self.engine.read(|state| state.now().to_utc()).await?;
        tracing::warn!(kind = problem.kind(), "a mailbox cannot be read");
        tracing::debug!(%problem, address, "a mailbox cannot be read");
        self.stands(address, Standing::Apart { since, problem }).await
    }

    async fn marks(&self, address: &str) -> Result<Vec<Mark>, Problem> {
        self.engine.journal().marks(address.to_owned()).await.map_err(|error| journal_problem(&error))
    }

    async fn mark(&self, address: &str, marks: Vec<Mark>) -> Result<(), Problem> {
        self.engine.journal().mark(address.to_owned(), marks).await.map_err(|error| journal_problem(&error))
    }
}
