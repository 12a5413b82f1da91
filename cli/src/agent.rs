//! The agent of the command line: serves `org.obnova.Agent1` while a verb stays, and asks at the terminal or takes a script's
//! answers. A secret goes from the terminal or descriptor into locked memory and from there into the daemon's pipe.

mod answers;
mod terminal;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use obnova_api::{AGENT_PATH, AgentOptions, BUS_NAME, Error, QuestionView};
use obnova_secret::{Secret, SecretError, process};
use obnova_text::{Asked, Text};
use tokio::sync::Notify;
use zbus::fdo::DBusProxy;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::zvariant::{ObjectPath, OwnedFd};

use crate::agent::answers::Answers;
use crate::agent::terminal::Terminal;
use crate::ending::Failure;
use crate::session::Session;

/// The agent of this run, if there is anybody to ask.
pub(crate) struct Registered(Option<Arc<Desk>>);

/// Where questions are answered, one after the other.
struct Desk {
    text: Arc<Text>,
    asker: tokio::sync::Mutex<Asker>,
    open: Mutex<Vec<(String, Arc<Notify>)>>,
    /// Who may ask: the daemon's name on the bus; nobody until it is known, anybody where there is no bus in between.
    daemon: OnceLock<Option<OwnedUniqueName>>,
}

enum Asker {
    Person(Terminal),
    Script(Answers),
}

impl Registered {
    /// Registers an agent if answers come from a descriptor or there is a terminal.
    pub(crate) async fn at_hand(session: &Session<'_>) -> Result<Self, Failure> {
        let door = &session.door;
        let asker = match (door.secret_fd, &door.terminal) {
            (Some(number), _) => {
                let refused = |_| Failure::new("bad-descriptor", [("value", &number.to_string())]);
                Asker::Script(Answers::open(number).map_err(refused)?)
            }
            (None, Some(path)) => match Terminal::open(path) {
                Ok(terminal) => Asker::Person(terminal),
                // Started by a machine: the tray may still answer.
                Err(_) => return Ok(Self(None)),
            },
            (None, None) => return Ok(Self(None)),
        };
        process::harden()?;
        let desk = Arc::new(Desk {
            text: Arc::clone(&session.text),
            asker: tokio::sync::Mutex::new(asker),
            open: Mutex::default(),
            daemon: OnceLock::new(),
        });
        door.connection.object_server().at(AGENT_PATH, Agent(Arc::clone(&desk))).await?;
        let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
        door.manager.register_agent(&path, &AgentOptions { notifies: Some(false) }).await?;
        let daemon = if door.connection.is_bus() {
            let bus = DBusProxy::new(&door.connection).await?;
            let owner = bus.get_name_owner(BusName::from_static_str(BUS_NAME).map_err(zbus::Error::from)?).await;
            Some(owner.map_err(zbus::Error::from)?)
        } else {
            None
        };
        // It was empty: this is the one place that fills it.
        desk.daemon.get_or_init(|| daemon);
        Ok(Self(Some(desk)))
    }

    /// Whether there is an agent.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a question is open here.
    pub(crate) fn is_asking(&self) -> bool {
        self.0.as_ref().is_some_and(|desk| !desk.open().is_empty())
    }

    /// Ends all questions and waits until the terminal is as it was. Leaving the bus does the rest.
    pub(crate) async fn leave(self) {
        let Some(desk) = self.0 else { return };
        desk.open().iter().for_each(|(_, withdrawn)| withdrawn.notify_one());
        drop(desk.asker.lock().await);
    }
}

impl Desk {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<Notify>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the daemon may ask: anybody on the bus could call, and hand over a pipe of its own.
    fn admit(&self, header: &Header<'_>) -> Result<(), Error> {
        match self.daemon.get() {
            Some(None) => Ok(()),
            Some(Some(daemon)) if header.sender() == Some(daemon) => Ok(()),
            _ => Err(Error::new("not-authorized", [])),
        }
    }

    /// Runs `asking` until it is answered or the question withdrawn.
    async fn ask<T>(
        &self,
        header: &Header<'_>,
        question: &QuestionView,
        asking: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.admit(header)?;
        let withdrawn = Arc::new(Notify::new());
        self.open().push((question.id.clone(), Arc::clone(&withdrawn)));
        let answer = tokio::select! {
            answer = asking => answer,
            () = withdrawn.notified() => Err(refused()),
        };
        self.open().retain(|(_, other)| !Arc::ptr_eq(other, &withdrawn));
        answer
    }

    async fn secret(&self, asked: Asked, question: &QuestionView) -> Result<Secret, Error> {
        let words = self.text.question(asked, question);
        let kind = question.secret.as_deref().unwrap_or("password");
        let rules = question.rules.as_ref().filter(|_| asked == Asked::NewSecret);
        match &mut *self.asker.lock().await {
            Asker::Person(terminal) if asked == Asked::NewSecret => {
                terminal.new_secret(&self.text, &words, rules).await.map_err(|error| broken(&error))?.ok_or_else(refused)
            }
            Asker::Person(terminal) => {
                terminal.secret(&self.text, &words).await.map_err(|error| broken(&error))?.ok_or_else(refused)
            }
            Asker::Script(answers) => {
                let kind = if asked == Asked::NewSecret { format!("new-{kind}") } else { kind.to_owned() };
                let secret = answers.take(&kind, "").await.map_err(|error| broken(&error))?.ok_or_else(refused)?;
                match rules {
                    Some(rules) if self.text.rule_broken(rules, secret.expose()).is_some() => Err(Error::new(
                        "secret-rules",
                        [
                            ("min", rules.min.to_string()),
                            ("max", rules.max.to_string()),
                            ("digits", rules.digits_only.to_string()),
                        ],
                    )),
                    _ => Ok(secret),
                }
            }
        }
    }

    async fn choice(&self, question: &QuestionView) -> Result<String, Error> {
        let words = self.text.question(Asked::Choose, question);
        let choices = question.choices.as_deref().unwrap_or_default();
        match &mut *self.asker.lock().await {
            Asker::Person(terminal) => {
                terminal.choose(&self.text, &words, choices).await.map_err(|error| broken(&error))?.ok_or_else(refused)
            }
            Asker::Script(answers) => {
                let chosen = answers.take("choice", "").await.map_err(|error| broken(&error))?.ok_or_else(refused)?;
                choices.iter().find(|choice| choice.as_bytes() == chosen.expose()).cloned().ok_or_else(refused)
            }
        }
    }

    async fn yes(&self, asked: Asked, question: &QuestionView) -> Result<bool, Error> {
        let words = self.text.question(asked, question);
        match &mut *self.asker.lock().await {
            Asker::Person(terminal) => {
                let agreed = terminal.yes(&self.text, &words).await.map_err(|error| broken(&error))?;
                match question.link().filter(|_| agreed && has_desktop()) {
                    Some(link) if open(link).is_err() => terminal.note(&self.text).map_err(|error| broken(&error))?,
                    _ => {}
                }
                Ok(agreed)
            }
            // Only a consent has lines; a script neither opens links nor does things by hand.
            Asker::Script(answers) if asked == Asked::Consent => {
                let answer = answers.take("consent", &format!("{}:", question.about)).await.map_err(|error| broken(&error))?;
                answer.map(|answer| answer.expose() == b"yes").ok_or_else(refused)
            }
            Asker::Script(_) => Err(refused()),
        }
    }
}

/// What is served at [`AGENT_PATH`].
struct Agent(Arc<Desk>);

#[zbus::interface(name = "org.obnova.Agent1")]
impl Agent {
    async fn secret(&self, question: QuestionView, answer: OwnedFd, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let secret = self.0.ask(&header, &question, self.0.secret(Asked::Secret, &question)).await?;
        secret.write_to(answer).map_err(|error| broken(&error))
    }

    async fn new_secret(
        &self,
        question: QuestionView,
        answer: OwnedFd,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let secret = self.0.ask(&header, &question, self.0.secret(Asked::NewSecret, &question)).await?;
        secret.write_to(answer).map_err(|error| broken(&error))
    }

    async fn choose(&self, question: QuestionView, #[zbus(header)] header: Header<'_>) -> Result<String, Error> {
        self.0.ask(&header, &question, self.0.choice(&question)).await
    }

    async fn consent(&self, question: QuestionView, #[zbus(header)] header: Header<'_>) -> Result<bool, Error> {
        self.0.ask(&header, &question, self.0.yes(Asked::Consent, &question)).await
    }

    async fn open_link(&self, question: QuestionView, #[zbus(header)] header: Header<'_>) -> Result<bool, Error> {
        self.0.ask(&header, &question, self.0.yes(Asked::OpenLink, &question)).await
    }

    async fn confirm_hand_step(&self, question: QuestionView, #[zbus(header)] header: Header<'_>) -> Result<bool, Error> {
        self.0.ask(&header, &question, self.0.yes(Asked::ConfirmHandStep, &question)).await
    }

    #[expect(clippy::needless_pass_by_value, reason = "zbus hands the header over")]
    fn withdraw(&self, id: &str, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.0.admit(&header)?;
        self.0.open().iter().filter(|(open, _)| open == id).for_each(|(_, withdrawn)| withdrawn.notify_one());
        Ok(())
    }
}

/// Whether pages can be shown here. A question says the address, too: whoever has no desktop opens it elsewhere.
fn has_desktop() -> bool {
    ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Opens a page. Some desktops' `xdg-open` stays as long as the page: it is not waited for.
fn open(link: &str) -> std::io::Result<()> {
    Command::new("xdg-open").arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

fn refused() -> Error {
    Error::new("refused", [])
}

/// Asking itself failed: the terminal has gone, or no memory could be locked.
fn broken(error: &SecretError) -> Error {
    let mut detail = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        detail = format!("{detail}: {source}");
    }
    Error::new("internal", [("detail", detail)])
}
