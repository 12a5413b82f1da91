//! The mailboxes: which of them are read, one task for each, and what becomes of the mails that come. How one is reached is `maildir`'s;
//! what a mail says is found out in obnova-courier, and what it means is decided in `core`.

mod doorbell;
mod maildir;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use obnova_core::mail::Facts;
use obnova_core::mailbox::Standing;
use obnova_core::record::Record;
use obnova_core::{ItemId, Mailbox, Problem};
use tokio::task::JoinHandle;

use crate::courier::Courier;
use crate::engine::{Engine, journal_problem};
use crate::journal::Mark;

/// The mailboxes. Cheap to clone.
#[derive(Clone)]
pub struct Mailboxes(Arc<Tools>);

/// What reading mailboxes takes.
struct Tools {
    engine: Engine,
    courier: Courier,
    /// The servers whose Authentication-Results the person trusts, in lower case.
    servers: Arc<[String]>,
    /// The tasks by the addresses of their mailboxes.
    running: Mutex<BTreeMap<String, JoinHandle<()>>>,
}

impl Mailboxes {
    /// Reads none yet.
    pub(crate) fn new(engine: Engine, courier: Courier, servers: Arc<[String]>) -> Self {
        Self(Arc::new(Tools { engine, courier, servers, running: Mutex::default() }))
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

    /// Adds a mailbox that can be read now; the id of its item.
    pub(crate) async fn add(&self, mailbox: Mailbox) -> Result<ItemId, Problem> {
        test(&mailbox).await?;
        let address = mailbox.address();
        self.take_up(mailbox).await?;
        self.0.engine.read(move |state| state.world.mailbox_id(&address)).await
    }

    /// Looks whether a mailbox can be read now.
    pub(crate) async fn test(&self, id: ItemId) -> Result<(), Problem> {
        let mailbox = self.by_id(id).await?.ok_or(Problem::NoSuchItem { id: id.to_string() })?;
        test(&mailbox).await
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
        self.0.engine.journal().unmark(address).await.map_err(|error| journal_problem(&error))
    }

    /// Ends all tasks.
    pub(crate) fn stop(&self) {
        for task in std::mem::take(&mut *self.running()).into_values() {
            task.abort();
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
        let (tools, address) = (Arc::clone(&self.0), mailbox.address());
        let task = tokio::spawn(async move {
            match mailbox {
                Mailbox::Maildir { directory } => maildir::keep(&tools, directory.path(), mailbox_address(&directory)).await,
            }
        });
        if let Some(before) = self.running().insert(address, task) {
            before.abort();
        }
    }

    /// Ends the task of a mailbox, and waits until nothing of it is under way.
    async fn halt(&self, address: &str) {
        let task = self.running().remove(address);
        if let Some(task) = task {
            task.abort();
            // It was ended: that is no failure.
            drop(task.await);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, JoinHandle<()>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mailbox_address(directory: &obnova_core::Place) -> String {
    Mailbox::Maildir { directory: directory.clone() }.address()
}

/// The Maildir where most programs deliver to that deliver to one, if it is there. It needs no server and no password. Blocks.
pub(crate) fn usual() -> Option<Mailbox> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    let directory = home.join("Maildir");
    maildir::is_one(&directory)
        .then(|| Mailbox::Maildir { directory: obnova_core::Place::new(obnova_core::Scheme::File, &directory) })
}

/// Looks whether a mailbox can be read now.
async fn test(mailbox: &Mailbox) -> Result<(), Problem> {
    match mailbox {
        Mailbox::Maildir { directory } => maildir::test(directory.path()).await,
    }
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
