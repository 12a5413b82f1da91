//! `org.obnova.Agent1` as the tray serves it: the daemon's questions, asked one at a time in pinentry's windows, and taken
//! back when the daemon wants no answer any more. What a question says is `crates/text`'s, how a window speaks `pinentry`'s.
//!
//! Secrets go into the pipe that came with the question and nowhere else. Everything else (consent, choices, links, hand
//! steps) is confirmed in a window of pinentry, too: it takes the keyboard, and a notification may be missed.

mod pinentry;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use obnova_api::{BUS_NAME, Error, QuestionView};
use obnova_secret::Secret;
use obnova_text::{Asked, Text};
use tokio::process::Command;
use tokio::sync::oneshot;
use tracing::{debug, warn};
use zbus::fdo::DBusProxy;
use zbus::message::Header;
use zbus::names::{BusName, WellKnownName};
use zbus::zvariant::OwnedFd;
use zbus::{Connection, ObjectServer};

pub use pinentry::Pinentry;
use pinentry::{Dialog, DialogError};

/// The object that is served at [`obnova_api::AGENT_PATH`].
pub struct Agent {
    pinentry: Pinentry,
    text: Text,
    /// One window at a time.
    turn: tokio::sync::Mutex<()>,
    /// By id; dropping what is held here takes a question back.
    open: Mutex<BTreeMap<String, oneshot::Sender<()>>>,
}

impl Agent {
    /// An agent that asks through this.
    pub fn new(pinentry: Pinentry, text: Text) -> Self {
        Self { pinentry, text, turn: tokio::sync::Mutex::new(()), open: Mutex::new(BTreeMap::new()) }
    }

    /// Takes back every question: whoever asked is gone.
    pub fn withdraw_all(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits for its turn and runs `asking`, unless the question is taken back before or meanwhile.
    async fn ask<T>(&self, question: &QuestionView, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (keep, withdrawn) = oneshot::channel();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(question.id.clone(), keep);
        let answer = tokio::select! {
            biased;
            _ = withdrawn => Err(refused()),
            answer = async {
                let _turn = self.turn.lock().await;
                asking.await
            } => answer,
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&question.id);
        answer
    }

    /// A window with the words of a question.
    fn dialog(&self, asked: Asked, question: &QuestionView) -> Dialog {
        let words = self.text.question(asked, question);
        let repeat = (asked == Asked::NewSecret).then_some((words.again, words.differ));
        Dialog { title: words.title, body: words.body, prompt: words.prompt, yes: words.yes, no: words.no, error: None, repeat }
    }

    async fn yes(&self, asked: Asked, question: &QuestionView) -> Result<bool, Error> {
        let dialog = self.dialog(asked, question);
        self.ask(question, async { self.pinentry.confirm(dialog).await.map_err(failure) }).await
    }

    /// Asks until the new secret keeps the question's rules, saying each time which one it broke.
    async fn new_secret_by_the_rules(&self, question: &QuestionView) -> Result<Secret, Error> {
        let mut dialog = self.dialog(Asked::NewSecret, question);
        loop {
            let secret = self.pinentry.secret(dialog.clone()).await.map_err(failure)?;
            dialog.error = question.rules.as_ref().and_then(|rules| self.text.rule_broken(rules, secret.expose()));
            if dialog.error.is_none() {
                return Ok(secret);
            }
        }
    }

    /// Shows one choice after the other until one is taken.
    async fn chosen(&self, question: &QuestionView) -> Result<String, Error> {
        let words = self.dialog(Asked::Choose, question);
        for choice in question.choices.iter().flatten() {
            let body = format!("{}\n{choice}", words.body);
            if self.pinentry.confirm(Dialog { body, ..words.clone() }).await.map_err(failure)? {
                return Ok(choice.clone());
            }
        }
        Err(refused())
    }
}

#[zbus::interface(name = "org.obnova.Agent1")]
impl Agent {
    /// Asks for a secret that exists; it is written into `answer`, which is then closed.
    async fn secret(
        &self,
        question: QuestionView,
        answer: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<(), Error> {
        only_the_daemon(bus, &header).await?;
        let dialog = self.dialog(Asked::Secret, &question);
        let secret = self.ask(&question, async { self.pinentry.secret(dialog).await.map_err(failure) }).await?;
        hand_over(&secret, &answer)
    }

    /// Asks for a new secret that keeps the question's rules.
    async fn new_secret(
        &self,
        question: QuestionView,
        answer: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<(), Error> {
        only_the_daemon(bus, &header).await?;
        let secret = self.ask(&question, self.new_secret_by_the_rules(&question)).await?;
        hand_over(&secret, &answer)
    }

    /// Asks for one of the question's choices.
    async fn choose(
        &self,
        question: QuestionView,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<String, Error> {
        only_the_daemon(bus, &header).await?;
        self.ask(&question, self.chosen(&question)).await
    }

    /// Asks for a yes; after one, the question's link is opened, if it has one.
    async fn consent(
        &self,
        question: QuestionView,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<bool, Error> {
        only_the_daemon(bus, &header).await?;
        let agreed = self.yes(Asked::Consent, &question).await?;
        if let Some(link) = question.link().filter(|_| agreed) {
            // The address stands in the question, too: without a browser the yes is a yes all the same.
            if let Err(error) = opened(link).await {
                warn!(error = &error as &dyn std::error::Error, "no program opens links");
            }
        }
        Ok(agreed)
    }

    /// Opens the question's link (its argument `link`, https only) after a click.
    async fn open_link(
        &self,
        question: QuestionView,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<bool, Error> {
        only_the_daemon(bus, &header).await?;
        let Some(link) = question.link() else { return Err(refused()) };
        if !self.yes(Asked::OpenLink, &question).await? {
            return Ok(false);
        }
        opened(link).await.map_err(|error| {
            warn!(error = &error as &dyn std::error::Error, "no program opens links");
            Error::new("no-agent", [])
        })
    }

    /// Shows an instruction and asks whether it has been done.
    async fn confirm_hand_step(
        &self,
        question: QuestionView,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<bool, Error> {
        only_the_daemon(bus, &header).await?;
        self.yes(Asked::ConfirmHandStep, &question).await
    }

    /// The question of this id needs no answer any more.
    async fn withdraw(
        &self,
        id: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<(), Error> {
        only_the_daemon(bus, &header).await?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        Ok(())
    }
}

/// Takes back every question of the agent served there.
pub async fn withdraw_all(server: &ObjectServer) -> zbus::Result<()> {
    server.interface::<_, Agent>(obnova_api::AGENT_PATH).await?.get().await.withdraw_all();
    Ok(())
}

/// Nobody else gets to ask for a password in our name. Without a bus there is nobody else.
async fn only_the_daemon(bus: &Connection, header: &Header<'_>) -> Result<(), Error> {
    if !bus.is_bus() {
        return Ok(());
    }
    let owner = DBusProxy::new(bus)
        .await?
        .get_name_owner(BusName::WellKnown(WellKnownName::from_static_str_unchecked(BUS_NAME)))
        .await?;
    if header.sender().is_some_and(|sender| *sender == *owner.inner()) {
        return Ok(());
    }
    warn!("a question that is not from the daemon was refused");
    Err(Error::new("not-authorized", []))
}

fn hand_over(secret: &Secret, answer: &OwnedFd) -> Result<(), Error> {
    secret.write_to(answer).map_err(|error| {
        warn!(error = &error as &dyn std::error::Error, "nobody takes the answer");
        refused()
    })
}

/// Opens a page; whether that went well, as far as it ends soon: some desktops' `xdg-open` stays as long as the page.
async fn opened(link: &str) -> std::io::Result<bool> {
    const SOON: Duration = Duration::from_secs(5);
    let mut opener = Command::new("xdg-open").arg(link).spawn()?;
    match tokio::time::timeout(SOON, opener.wait()).await {
        Ok(status) => status.map(|status| status.success()),
        Err(_) => Ok(true),
    }
}

fn refused() -> Error {
    Error::new("refused", [])
}

/// What the daemon is told; the log is told more.
fn failure(error: DialogError) -> Error {
    match error {
        DialogError::Refused => {
            debug!("the person gave no answer");
            refused()
        }
        error => {
            warn!(error = &error as &dyn std::error::Error, "a question could not be asked");
            Error::new("no-agent", [])
        }
    }
}
