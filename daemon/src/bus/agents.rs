//! Whoever can ask the person: who has registered, and how they are asked. What is asked is the runner's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use obnova_api::{AgentOptions, AgentProxy, Error, QuestionView};
use obnova_core::Problem;
use obnova_secret::{Secret, SecretError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

use crate::shares::{self, Whose};

/// How long a question may stay open.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long an agent that has said "there it is" may keep the pipe open.
const PIPE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest secret, in bytes.
const LONGEST: usize = 1024;

/// Who started something: only agents of the same user in the same session are asked about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// The caller's unique name; `None` over a socket pair, or after a restart.
    pub sender: Option<OwnedUniqueName>,
    /// The caller's user id; `None` over a socket pair, which only one process holds.
    pub uid: Option<u32>,
    /// The caller's login session, in the system scope; the session bus is a session of its own.
    pub session: Option<OwnedObjectPath>,
}

impl Requester {
    /// Whether both are the same user in the same session.
    fn is_beside(&self, other: &Self) -> bool {
        (self.uid, &self.session) == (other.uid, &other.session)
    }
}

#[derive(Clone, Debug)]
struct Agent {
    requester: Requester,
    path: OwnedObjectPath,
    notifies: bool,
}

/// The registered agents.
pub struct Agents {
    connection: Connection,
    /// Shared by the bus (which registers) and the renewals (which ask).
    registered: Mutex<Vec<Agent>>,
    notifiers: Arc<AtomicUsize>,
}

impl Agents {
    /// Nobody yet. `notifiers` is kept at the number of agents that show notices.
    pub fn new(connection: Connection, notifiers: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { connection, registered: Mutex::new(Vec::new()), notifiers })
    }

    /// Registers an agent; it is forgotten when its connection leaves the bus.
    pub async fn register(
        self: &Arc<Self>,
        requester: Requester,
        path: OwnedObjectPath,
        options: &AgentOptions,
    ) -> zbus::Result<()> {
        if let Some(sender) = requester.sender.clone() {
            let bus = DBusProxy::new(&self.connection).await?;
            // One match for this one name: arrivals of strangers on the bus must not wake the daemon.
            let mut leaves = bus.receive_name_owner_changed_with_args(&[(0, sender.as_str())]).await?;
            let agents = Arc::clone(self);
            tokio::spawn(async move {
                while let Some(signal) = leaves.next().await {
                    if signal.args().is_ok_and(|args| args.new_owner().is_none()) {
                        agents.forget(|agent| agent.requester.sender.as_ref() == Some(&sender)).await;
                        return;
                    }
                }
            });
        }
        let agent = Agent { requester, path, notifies: options.notifies.unwrap_or(false) };
        let mut registered = self.registered.lock().await;
        registered.retain(|other| (&other.requester, &other.path) != (&agent.requester, &agent.path));
        registered.push(agent);
        self.count(&registered);
        Ok(())
    }

    /// Undoes [`Agents::register`].
    pub async fn unregister(&self, requester: &Requester, path: &OwnedObjectPath) {
        self.forget(|agent| agent.requester.sender == requester.sender && agent.path == *path).await;
    }

    /// The connection on which they are asked.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether nobody has registered.
    pub async fn is_empty(&self) -> bool {
        self.registered.lock().await.is_empty()
    }

    /// Asks for a secret that exists.
    pub async fn secret(&self, whom: &Requester, question: &QuestionView) -> Result<Secret, Problem> {
        self.ask_secret(whom, question, false).await
    }

    /// Asks for a new secret.
    pub async fn new_secret(&self, whom: &Requester, question: &QuestionView) -> Result<Secret, Problem> {
        self.ask_secret(whom, question, true).await
    }

    /// Asks for a yes.
    pub async fn consent(&self, whom: &Requester, question: &QuestionView) -> Result<bool, Problem> {
        self.ask_yes(whom, question, Yes::Consent).await
    }

    /// Asks whether something has been done by hand.
    pub async fn confirm_hand_step(&self, whom: &Requester, question: &QuestionView) -> Result<bool, Problem> {
        self.ask_yes(whom, question, Yes::HandStep).await
    }

    /// Asks whether a page is to be opened, and has it opened after a yes.
    pub async fn open_link(&self, whom: &Requester, question: &QuestionView) -> Result<bool, Problem> {
        self.ask_yes(whom, question, Yes::Link).await
    }

    async fn ask_yes(&self, whom: &Requester, question: &QuestionView, to: Yes) -> Result<bool, Problem> {
        loop {
            let (agent, proxy) = self.choose(whom).await?;
            let open = Open::new(&proxy, question);
            let call = async {
                match to {
                    Yes::Consent => proxy.consent(question).await,
                    Yes::HandStep => proxy.confirm_hand_step(question).await,
                    Yes::Link => proxy.open_link(question).await,
                }
            };
            let answer = in_time(PATIENCE, call).await?;
            open.answered();
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => self.judge(&agent, error).await?,
            }
        }
    }

    async fn ask_secret(&self, whom: &Requester, question: &QuestionView, new: bool) -> Result<Secret, Problem> {
        loop {
            let (agent, proxy) = self.choose(whom).await?;
            let (answer, theirs) = obnova_secret::pipe().map_err(internal)?;
            let theirs: zbus::zvariant::OwnedFd = theirs.into();
            let call =
                async { if new { proxy.new_secret(question, theirs).await } else { proxy.secret(question, theirs).await } };
            let open = Open::new(&proxy, question);
            let answered = in_time(PATIENCE, call).await?;
            open.answered();
            if let Err(error) = answered {
                self.judge(&agent, error).await?;
                continue;
            }
            let read = in_time(PIPE_PATIENCE, Secret::read_from_pipe(answer, LONGEST)).await?;
            return read.map_err(|error| match error {
                SecretError::TooLong { limit } => {
                    Problem::SecretRules { min: "0".into(), max: limit.to_string(), digits: "false".into() }
                }
                other => internal(other),
            });
        }
    }

    /// The agent that is asked: the one on the connection that started it, else the newest of the same user and session.
    async fn choose(&self, whom: &Requester) -> Result<(Agent, AgentProxy<'static>), Problem> {
        let agent = {
            let registered = self.registered.lock().await;
            let own = registered.iter().rev().find(|agent| agent.requester == *whom);
            own.or_else(|| registered.iter().rev().find(|agent| agent.requester.is_beside(whom))).cloned()
        };
        let agent = agent.ok_or(Problem::NoAgent {})?;
        let destination: BusName<'static> = match &agent.requester.sender {
            Some(name) => name.clone().into_inner().into(),
            // Over a socket pair there is one other side, whatever it is called.
            None => BusName::from_static_str(obnova_api::BUS_NAME).map_err(internal)?,
        };
        let proxy = AgentProxy::builder(&self.connection)
            .destination(destination)
            .and_then(|builder| builder.path(agent.path.clone()))
            .map_err(internal)?
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(internal)?;
        Ok((agent, proxy))
    }

    /// What an agent's failure means: a refusal is the person's; an agent that is gone is forgotten, and another is asked.
    async fn judge(&self, agent: &Agent, error: Error) -> Result<(), Problem> {
        match error {
            Error::Problem(_) => Err(Problem::Refused {}),
            Error::Bus(error) => {
                tracing::debug!(%error, "an agent cannot be asked");
                self.forget(|other| (&other.requester, &other.path) == (&agent.requester, &agent.path)).await;
                Ok(())
            }
        }
    }

    async fn forget(&self, which: impl Fn(&Agent) -> bool) {
        let mut registered = self.registered.lock().await;
        registered.retain(|agent| !which(agent));
        self.count(&registered);
    }

    fn count(&self, registered: &[Agent]) {
        self.notifiers.store(registered.iter().filter(|agent| agent.notifies).count(), Ordering::Relaxed);
    }
}

/// What the person does, in their own time, but within bounds.
async fn in_time<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Problem> {
    shares::spent(Whose::Person, tokio::time::timeout(patience, work)).await.map_err(|_| Problem::Refused {})
}

/// What a person says yes to.
#[derive(Clone, Copy)]
enum Yes {
    Consent,
    HandStep,
    Link,
}

/// A question that is being asked. It is taken back when nobody waits for its answer any more: it has lapsed, or the renewal
/// was cancelled.
struct Open {
    proxy: AgentProxy<'static>,
    question: Option<String>,
}

impl Open {
    fn new(proxy: &AgentProxy<'static>, question: &QuestionView) -> Self {
        Self { proxy: proxy.clone(), question: Some(question.id.clone()) }
    }

    fn answered(mut self) {
        self.question = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Without a runtime there is no connection either, and whoever asked has left the bus.
        let (Some(id), Ok(runtime)) = (self.question.take(), Handle::try_current()) else { return };
        let proxy = self.proxy.clone();
        runtime.spawn(async move {
            if let Err(error) = proxy.withdraw(&id).await {
                tracing::debug!(%error, "a question cannot be taken back");
            }
        });
    }
}

fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::Internal { detail: error.to_string() }
}
