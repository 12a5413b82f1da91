//! Agents that leave, fail, or answer what nobody should: the daemon waits a bounded time and goes on.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use obnova_api::{AGENT_PATH, AgentOptions, Options, QuestionView};
use obnova_tests::{Agent, Answer, Asked, Bus, Recipe, eventually};
use tempfile::TempDir;
use zbus::zvariant::ObjectPath;

use crate::inside::{Inside, SECRET, clock, pem};

/// What is wrong with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    /// Its secret is longer than any may be.
    TooLong,
    /// It says that it has answered, and keeps the pipe open.
    NeverCloses,
    /// It fails with a word that is not in the contract.
    Fails,
}

struct OddAgent {
    odd: Odd,
    /// The questions that it was asked.
    asked: Arc<Mutex<Vec<QuestionView>>>,
    /// The pipes that it does not close.
    kept: Arc<Mutex<Vec<OwnedFd>>>,
}

#[zbus::interface(name = "org.obnova.Agent1")]
impl OddAgent {
    fn consent(&self, question: QuestionView) -> bool {
        self.asked.lock().expect("no panic while held").push(question);
        true
    }

    fn secret(&self, question: QuestionView, answer: zbus::zvariant::OwnedFd) -> zbus::fdo::Result<()> {
        self.asked.lock().expect("no panic while held").push(question);
        let pipe = OwnedFd::from(answer);
        match self.odd {
            Odd::TooLong => std::fs::File::from(pipe).write_all(&[b'x'; 2000]).expect("room in the pipe"),
            Odd::NeverCloses => self.kept.lock().expect("no panic while held").push(pipe),
            Odd::Fails => return Err(zbus::fdo::Error::Failed("the screen is gone".into())),
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_odd_agent_costs_a_bounded_time_and_no_renewal() {
    for (odd, kind) in [(Odd::TooLong, "secret-rules"), (Odd::NeverCloses, "refused"), (Odd::Fails, "no-agent")] {
        let scratch = TempDir::new().expect("a directory");
        let bus = Bus::start().await;
        let daemon = Inside::start_on(&bus, &scratch.path().join("state"), &clock()).await;
        // The certificate lies open, its key does not: a renewal asks, watching does not.
        let made = Recipe::new("Anna").days_left(20).make();
        std::fs::write(scratch.path().join("anna.crt"), made.pem()).expect("written");
        std::fs::write(scratch.path().join("anna.key"), made.key_pem_protected(SECRET)).expect("written");
        daemon.watch(&format!("file:{}", scratch.path().join("anna.crt").display())).await;
        let before = files(scratch.path());

        let connection = bus.connect().await;
        let (asked, kept) = (Arc::<Mutex<Vec<QuestionView>>>::default(), Arc::<Mutex<Vec<OwnedFd>>>::default());
        connection
            .object_server()
            .at(AGENT_PATH, OddAgent { odd, asked: Arc::clone(&asked), kept: Arc::clone(&kept) })
            .await
            .expect("a free path");
        let manager = obnova_api::ManagerProxy::new(&connection).await.expect("a proxy");
        let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
        manager.register_agent(&path, &AgentOptions { notifies: None }).await.expect("registered");
        let id = daemon.identity().await.id;
        let begun = Instant::now();
        manager.act(&id, "renew", &Options::default()).await.expect("begun");
        let waiting = daemon.renewal("waiting").await;
        assert_eq!(waiting.problem.map(|problem| problem.kind).as_deref(), Some(kind), "{odd:?}");
        assert!(begun.elapsed().as_secs() < 30, "{odd:?}: {:?}", begun.elapsed());
        assert_eq!(asked.lock().expect("no panic while held").len(), 2, "consent and secret, each once");
        assert_eq!(kept.lock().expect("no panic while held").len(), usize::from(odd == Odd::NeverCloses));
        assert_eq!(files(scratch.path()), before, "nothing has been made");

        // Nothing is lost: somebody who can answer finishes it.
        let agent = Agent::with_secret(&bus, SECRET).await;
        agent.register(false).await;
        let manager = agent.manager().await;
        manager.act(&id, "resume", &Options::default()).await.expect("resumed");
        daemon.renewal("done").await;
        assert_eq!(agent.secrets_asked(), 1, "{odd:?}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn an_agent_that_leaves_is_forgotten() {
    let scratch = TempDir::new().expect("a directory");
    let bus = Bus::start().await;
    let daemon = Inside::start_on(&bus, &scratch.path().join("state"), &clock()).await;
    let agent = Agent::with_secret(&bus, SECRET).await;
    agent.register(true).await;
    agent.leave().await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    let id = daemon.identity().await.id;
    daemon.act(&id, "renew").await;
    let waiting = daemon.renewal("waiting").await;
    assert_eq!(waiting.problem.map(|problem| problem.kind).as_deref(), Some("no-agent"));
    // Nobody who shows notices was there, so the warning comes at once when somebody is.
    let agent = Agent::with_secret(&bus, SECRET).await;
    daemon.act(&id, "cancel").await;
    daemon.settle().await;
    let told = daemon.announced().await.len();
    agent.register(true).await;
    daemon.settle().await;
    assert_eq!(daemon.announced().await.len(), told + 1, "the one that left no longer counts as somebody who shows notices");
    daemon.stop().await;
}

#[tokio::test]
async fn the_agent_of_whoever_started_is_asked_before_all_others() {
    let scratch = TempDir::new().expect("a directory");
    let bus = Bus::start().await;
    let daemon = Inside::start_on(&bus, &scratch.path().join("state"), &clock()).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    let [first, second] = [Agent::with_secret(&bus, SECRET).await, Agent::with_secret(&bus, SECRET).await];
    first.register(false).await;
    second.register(false).await;
    let id = daemon.identity().await.id;
    first.manager().await.act(&id, "renew", &Options::default()).await.expect("begun");
    daemon.renewal("done").await;
    assert_eq!((first.asked().len(), second.asked().len()), (1, 0));
    daemon.stop().await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_brings_the_question_back() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = Inside::start(&scratch.path().join("state"), &clock()).await;
    let made = Recipe::new("Anna").days_left(20).make();
    let path = scratch.path().join("anna.p12");
    made.write_p12(&path, SECRET, &[]);
    let answers = Arc::new(Mutex::new(vec![SECRET, "hádám", ""]));
    let agent = Agent::at(daemon.client.clone(), move |asked, _| {
        assert_eq!(asked, Asked::Secret);
        let answer = answers.lock().expect("no panic while held").pop().expect("an answer left");
        std::future::ready(Answer::Secret(answer.into()))
    })
    .await;
    agent.register(false).await;
    daemon.watch(&format!("p12:{}", path.display())).await;
    let refused: Vec<bool> = agent.asked().iter().map(|(_, question)| question.refused.unwrap_or(false)).collect();
    assert_eq!(refused, [false, true, true]);
    let ids: BTreeSet<String> = agent.asked().into_iter().map(|(_, question)| question.id).collect();
    assert_eq!(ids.len(), 1, "it is the same question");
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_whose_job_is_cancelled_is_taken_back() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = Inside::start(&scratch.path().join("state"), &clock()).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    let agent = Agent::at(daemon.client.clone(), |_, _| std::future::ready(Answer::Silence)).await;
    agent.register(false).await;
    let id = daemon.identity().await.id;
    daemon.act(&id, "renew").await;
    eventually("a question", async || (agent.asked().len() == 1).then_some(())).await;
    daemon.act(&id, "cancel").await;
    daemon.renewal("cancelled").await;
    let question = agent.asked().remove(0).1.id;
    eventually("the question taken back", async || (agent.withdrawn() == [question.as_str()]).then_some(())).await;
    daemon.stop().await;
}

fn files(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("a readable directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
