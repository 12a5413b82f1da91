//! The proxies that command line, tray, window and tests use.

mod job;

pub use job::JobProxy;

use zbus::zvariant::{OwnedFd, OwnedObjectPath};

use crate::dict::Dictionary;
use crate::error::Error;
use crate::view::{
    AgentOptions, CheckView, ItemView, LetterView, LogView, MailboxOptions, Options, ProgrammeView, QuestionView, StatusView,
};

/// `org.obnova.Manager1`, at [`crate::MANAGER_PATH`].
#[zbus::proxy(interface = "org.obnova.Manager1", default_service = "org.obnova.Daemon1", default_path = "/org/obnova")]
pub trait Manager {
    /// A page of items in order of urgency, at most `limit` (and at most [`crate::PAGE`]); and where the next page begins
    /// (empty: this was the last). `after` is that, or an item's id, or empty for the first page.
    ///
    /// `filter` keys: `kind` (`s`), `all` (`b`: retired and ended ones too). Items of the kinds `renewal` and `card` stand only
    /// in the listing of their own kind; for that of cards, all readers and modules are looked at.
    fn items(&self, filter: Dictionary, after: &str, limit: u32) -> Result<(Vec<ItemView>, String), Error>;

    /// The same page, every key as it came.
    #[zbus(name = "Items")]
    fn items_as_dictionaries(&self, filter: Dictionary, after: &str, limit: u32) -> Result<(Vec<Dictionary>, String), Error>;

    /// One item.
    fn item(&self, id: &str) -> Result<ItemView, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Item")]
    fn item_as_dictionary(&self, id: &str) -> Result<Dictionary, Error>;

    /// Does something about an item: its next step's `action`, `snooze`, `dismiss`, `change-pin` and `unblock` of cards, … The
    /// path of the job, or `/` where the action is over when the call returns.
    #[zbus(allow_interactive_auth)]
    fn act(&self, id: &str, action: &str, options: &Options) -> Result<OwnedObjectPath, Error>;

    /// What a renewal of this item would do, as the person would be asked about it. Nothing is changed.
    #[zbus(allow_interactive_auth)]
    fn plan(&self, id: &str, options: &Options) -> Result<QuestionView, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Plan")]
    fn plan_as_dictionary(&self, id: &str, options: &Options) -> Result<Dictionary, Error>;

    /// Watches a place; the ids of the items that stand there now.
    #[zbus(allow_interactive_auth)]
    fn watch(&self, place: &str, options: &Options) -> Result<Vec<String>, Error>;

    /// Watches the places of this item no longer.
    #[zbus(allow_interactive_auth)]
    fn unwatch(&self, id: &str) -> Result<(), Error>;

    /// Looks for certificates where people have them, and shows those that nobody looks after, as items of the kind `found`. Nothing
    /// is watched by that.
    fn discover(&self) -> Result<Vec<ItemView>, Error>;

    /// How certificates are renewed, in the order in which programmes are asked whether one is theirs.
    fn programmes(&self) -> Result<Vec<ProgrammeView>, Error>;

    /// Reads the text of a programme, and changes nothing. `file` names it in the error, which says where the mistake is.
    fn check_programme(&self, file: &str, text: &str) -> Result<ProgrammeView, Error>;

    /// The daemon's health.
    fn status(&self) -> Result<StatusView, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Status")]
    fn status_as_dictionary(&self) -> Result<Dictionary, Error>;

    /// Looks whether a renewal of this item can succeed, and changes nothing; with an empty id, of all that is due. Also looks at
    /// what all of them stand on: readers, cards, places, the clock. The most important does not come first: what belongs
    /// together does.
    fn doctor(&self, id: &str) -> Result<Vec<CheckView>, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Doctor")]
    fn doctor_as_dictionaries(&self, id: &str) -> Result<Vec<Dictionary>, Error>;

    /// Reads a mail from a file, as if it had come into a mailbox now: what it is, by each programme that it concerns, is written
    /// down. `name` names it in errors.
    #[zbus(allow_interactive_auth)]
    fn read_mail(&self, name: &str, mail: OwnedFd) -> Result<Vec<LetterView>, Error>;

    /// Has a mailbox (an address whose domain names a server of its own, `maildir:/PATH`, `imaps://USER@HOST`, or `imap://USER@HOST` for STARTTLS) read from now on, if it can be read; the id
    /// of its item. `Unwatch` takes it back.
    #[zbus(allow_interactive_auth)]
    fn add_mailbox(&self, mailbox: &str, options: &MailboxOptions) -> Result<String, Error>;

    /// What a mail would be by this programme, with no regard to certificates: nothing is written down. `file` and `name` name
    /// programme and mail in errors.
    #[zbus(allow_interactive_auth)]
    fn judge_mail(&self, file: &str, programme: &str, name: &str, mail: OwnedFd) -> Result<Vec<LetterView>, Error>;

    /// A page of the log from the record behind `after` on (0: the first), at most `limit`.
    ///
    /// `filter` keys: `since` (`s`, RFC 3339), `last` (`u`: only so many of the newest).
    fn log(&self, filter: Dictionary, after: u64, limit: u32) -> Result<Vec<LogView>, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Log")]
    fn log_as_dictionaries(&self, filter: Dictionary, after: u64, limit: u32) -> Result<Vec<Dictionary>, Error>;

    /// Registers the caller as an agent: `org.obnova.Agent1` is served at `path` on the calling connection.
    #[zbus(allow_interactive_auth)]
    fn register_agent(&self, path: &zbus::zvariant::ObjectPath<'_>, options: &AgentOptions) -> Result<(), Error>;

    /// Undoes [`ManagerProxy::register_agent`]; leaving the bus does, too.
    fn unregister_agent(&self, path: &zbus::zvariant::ObjectPath<'_>) -> Result<(), Error>;

    /// These items are new or look otherwise than before.
    #[zbus(signal)]
    fn changed(&self, ids: Vec<String>, revision: u64) -> zbus::Result<()>;

    /// These items are gone.
    #[zbus(signal)]
    fn removed(&self, ids: Vec<String>) -> zbus::Result<()>;

    /// A person should be told: the one signal that makes a notification.
    #[zbus(signal)]
    fn noticed(&self, id: String, event: String, level: String) -> zbus::Result<()>;
}

/// `org.obnova.Agent1`: whoever can ask the person. Served by clients, called by the daemon.
#[zbus::proxy(interface = "org.obnova.Agent1", assume_defaults = false)]
pub trait Agent {
    /// Asks for a secret that exists; it is written into `answer` (a pipe), which is then closed.
    fn secret(&self, question: &QuestionView, answer: OwnedFd) -> Result<(), Error>;

    /// Asks for a new secret that keeps the question's rules; answered as [`AgentProxy::secret`] is.
    fn new_secret(&self, question: &QuestionView, answer: OwnedFd) -> Result<(), Error>;

    /// Asks for one of the question's choices.
    fn choose(&self, question: &QuestionView) -> Result<String, Error>;

    /// Asks for a yes.
    fn consent(&self, question: &QuestionView) -> Result<bool, Error>;

    /// Opens the question's link after a click.
    fn open_link(&self, question: &QuestionView) -> Result<bool, Error>;

    /// Shows an instruction and asks whether it has been done.
    fn confirm_hand_step(&self, question: &QuestionView) -> Result<bool, Error>;

    /// The question of this id needs no answer any more.
    fn withdraw(&self, id: &str) -> Result<(), Error>;
}
