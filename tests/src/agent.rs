//! A person in the test's hands: answers what the daemon asks, and keeps what was asked.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use obnova_api::{AGENT_PATH, AgentOptions, Error, ManagerProxy, QuestionView};
use zbus::Connection;
use zbus::zvariant::{ObjectPath, OwnedFd};

use crate::Bus;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A secret that exists.
    Secret,
    /// A new secret.
    NewSecret,
    /// A yes.
    Consent,
    /// Whether something has been done by hand.
    ConfirmHandStep,
}

/// What the person answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This secret.
    Secret(String),
    /// Yes.
    Yes,
    /// No.
    No,
    /// They want to answer nothing.
    Refuse,
    /// They never answer.
    Silence,
}

type Mind = Box<dyn Fn(Asked, QuestionView) -> BoxFuture<'static, Answer> + Send + Sync>;

struct Person {
    mind: Mind,
    asked: Mutex<Vec<(Asked, QuestionView)>>,
    withdrawn: Mutex<Vec<String>>,
}

/// An agent on a connection of its own.
pub struct Agent {
    connection: Connection,
    person: Arc<Person>,
}

impl Agent {
    /// An agent that answers so; not registered yet.
    pub async fn on<F>(bus: &Bus, mind: impl Fn(Asked, QuestionView) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::at(bus.connect().await, mind).await
    }

    /// The same on a connection that exists.
    pub async fn at<F>(connection: Connection, mind: impl Fn(Asked, QuestionView) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let mind: Mind = Box::new(move |asked, question| Box::pin(mind(asked, question)));
        let person = Arc::new(Person { mind, asked: Mutex::default(), withdrawn: Mutex::default() });
        connection.object_server().at(AGENT_PATH, Served(Arc::clone(&person))).await.expect("a free path");
        Self { connection, person }
    }

    /// A person who says yes and has this one secret.
    pub async fn with_secret(bus: &Bus, secret: &str) -> Self {
        let secret = secret.to_owned();
        Self::on(bus, move |asked, _| {
            let answer = if asked == Asked::Consent { Answer::Yes } else { Answer::Secret(secret.clone()) };
            std::future::ready(answer)
        })
        .await
    }

    /// Registers with the daemon that runs now.
    pub async fn register(&self, notifies: bool) {
        let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
        let options = AgentOptions { notifies: Some(notifies) };
        self.manager().await.register_agent(&path, &options).await.expect("registered");
    }

    /// The daemon as this agent's connection reaches it.
    pub async fn manager(&self) -> ManagerProxy<'static> {
        ManagerProxy::new(&self.connection).await.expect("a proxy")
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What has been asked so far.
    pub fn asked(&self) -> Vec<(Asked, QuestionView)> {
        lock(&self.person.asked).clone()
    }

    /// How many times a secret has been asked for so far.
    pub fn secrets_asked(&self) -> usize {
        self.asked().iter().filter(|(asked, _)| matches!(asked, Asked::Secret | Asked::NewSecret)).count()
    }

    /// The questions that needed no answer any more.
    pub fn withdrawn(&self) -> Vec<String> {
        lock(&self.person.withdrawn).clone()
    }

    /// Leaves the bus.
    pub async fn leave(self) {
        self.connection.close().await.expect("closed");
    }
}

struct Served(Arc<Person>);

impl Served {
    async fn answer(&self, asked: Asked, question: QuestionView) -> Result<Answer, Error> {
        lock(&self.0.asked).push((asked, question.clone()));
        match (self.0.mind)(asked, question).await {
            Answer::Refuse => Err(Error::new("refused", [])),
            Answer::Silence => std::future::pending().await,
            answer => Ok(answer),
        }
    }

    async fn hand_over(&self, asked: Asked, question: QuestionView, pipe: OwnedFd) -> Result<(), Error> {
        match self.answer(asked, question).await? {
            Answer::Secret(secret) => {
                File::from(std::os::fd::OwnedFd::from(pipe)).write_all(secret.as_bytes()).expect("written");
                Ok(())
            }
            other => panic!("{other:?} is no answer to {asked:?}"),
        }
    }
}

#[zbus::interface(name = "org.obnova.Agent1")]
impl Served {
    async fn secret(&self, question: QuestionView, answer: OwnedFd) -> Result<(), Error> {
        self.hand_over(Asked::Secret, question, answer).await
    }

    async fn new_secret(&self, question: QuestionView, answer: OwnedFd) -> Result<(), Error> {
        self.hand_over(Asked::NewSecret, question, answer).await
    }

    async fn consent(&self, question: QuestionView) -> Result<bool, Error> {
        Ok(self.answer(Asked::Consent, question).await? == Answer::Yes)
    }

    async fn confirm_hand_step(&self, question: QuestionView) -> Result<bool, Error> {
        Ok(self.answer(Asked::ConfirmHandStep, question).await? == Answer::Yes)
    }

    fn withdraw(&self, id: &str) {
        lock(&self.0.withdrawn).push(id.to_owned());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
