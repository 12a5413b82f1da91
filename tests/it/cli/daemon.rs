//! A daemon that does as the test says: serves what it is given, follows a script when it is asked to renew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use obnova_api::dict::Dictionary;
use obnova_api::{
    AGENT_PATH, AgentOptions, AgentProxy, BUS_NAME, CertificateView, CheckView, Error, ItemView, JobView, LogView,
    MANAGER_PATH, NextStepView, Options, ProblemView, ProgrammeView, QuestionView, RulesView, StatusView, StepView,
};
use obnova_secret::Secret;
use tokio::net::UnixStream;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::object_server::SignalEmitter;
use zbus::proxy::CacheProperties;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, ObjectPath, OwnedObjectPath, OwnedValue, Value, to_bytes};

/// Where the one job of these tests is.
pub(crate) const JOB: &str = "/org/obnova/job/7";

/// What happens when something is to be done about an item.
pub(crate) type Script = Arc<dyn Fn(Run) -> BoxFuture<'static, ()> + Send + Sync>;

/// A daemon at the other end of a socket pair.
#[derive(Clone)]
pub(crate) struct Daemon {
    state: Arc<Mutex<State>>,
    connection: Connection,
}

pub(crate) struct State {
    pub(crate) items: Vec<ItemView>,
    pub(crate) log: Vec<LogView>,
    /// What the doctor finds.
    pub(crate) checks: Vec<CheckView>,
    pub(crate) status: StatusView,
    /// What was called, in order.
    pub(crate) calls: Vec<String>,
    pub(crate) script: Option<Script>,
    /// The job, where it has begun before.
    job: Option<Arc<Mutex<JobView>>>,
    /// What `Watch` asks for first.
    pub(crate) locked: Option<&'static str>,
    /// The problem that `Act` and `Watch` meet.
    pub(crate) refuses: Option<ProblemView>,
}

impl Daemon {
    /// Serves these items, and gives the other end.
    pub(crate) async fn with(items: Vec<ItemView>) -> (Self, Connection) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let server = Builder::unix_stream(ours).server(zbus::Guid::generate()).expect("a GUID").p2p().build();
        let client = Builder::unix_stream(theirs).p2p().build();
        let (server, client) = futures_util::future::try_join(server, client).await.expect("two connections");
        (Self::on(server, items).await, client)
    }

    /// Serves these items on a connection; on a bus, takes the daemon's name.
    pub(crate) async fn on(connection: Connection, items: Vec<ItemView>) -> Self {
        let first = items.iter().find(|item| item.next_step.is_some()).cloned();
        let mut levels = BTreeMap::new();
        for item in &items {
            *levels.entry(item.level.clone()).or_insert(0) += 1;
        }
        let watched = items.iter().filter(|item| item.kind == "identity" && item.state != "retired").count() as u64;
        let status = StatusView {
            version: "0.1.0".into(),
            scope: "user".into(),
            level: first.as_ref().map_or("ok", |item| &item.level).into(),
            watched,
            levels,
            revision: 3,
            first,
            next_wake: Some("2026-10-22T06:00:00Z".into()),
            mailboxes: None,
        };
        let (log, checks, calls) = (story(), vec![], vec![]);
        let state = State { items, log, checks, status, calls, script: None, job: None, locked: None, refuses: None };
        let daemon = Self { state: Arc::new(Mutex::new(state)), connection: connection.clone() };
        connection.object_server().at(MANAGER_PATH, Manager(daemon.clone())).await.expect("a free path");
        if connection.is_bus() {
            connection.request_name(BUS_NAME).await.expect("a free name");
        }
        daemon
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// What happens when something is to be done.
    pub(crate) fn plays<F: Future<Output = ()> + Send + 'static>(&self, script: impl Fn(Run) -> F + Send + Sync + 'static) {
        self.state().script = Some(Arc::new(move |run| Box::pin(script(run))));
    }

    /// The job is there already, with so many steps done.
    pub(crate) async fn has_begun(&self, count: usize) {
        let mut view = job();
        view.state = "waiting".into();
        view.problem = renewal().problem;
        view.steps.iter_mut().take(count).for_each(|step| step.state = "done".into());
        let shared = Arc::new(Mutex::new(view));
        self.state().job = Some(Arc::clone(&shared));
        self.connection.object_server().at(JOB, Job(shared)).await.expect("a free path");
    }

    /// Adds a record to the log and tells that something has changed.
    pub(crate) async fn writes(&self, record: LogView) {
        self.state().log.push(record);
        let emitter = SignalEmitter::new(&self.connection, MANAGER_PATH).expect("a path");
        Manager::changed(&emitter, vec![], 4).await.expect("a signal");
    }

    /// Ends the connection, as a daemon that dies does.
    pub(crate) async fn dies(&self) {
        self.connection.clone().close().await.expect("an end");
    }

    /// An agent at a name, as the daemon reaches it.
    pub(crate) async fn agent_at(&self, name: &str) -> AgentProxy<'static> {
        AgentProxy::builder(&self.connection)
            .destination(name.to_owned())
            .expect("a name")
            .path(AGENT_PATH)
            .expect("a path")
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .expect("a proxy")
    }
}

/// The job under way, in the hands of a script.
#[derive(Clone)]
pub(crate) struct Run {
    daemon: Daemon,
    job: Arc<Mutex<JobView>>,
}

impl Run {
    /// Changes the job and tells.
    pub(crate) async fn moves(&self, change: impl FnOnce(&mut JobView)) {
        change(&mut self.job.lock().expect("no test panics while it holds this"));
        let emitter = SignalEmitter::new(&self.daemon.connection, JOB).expect("a path");
        Job::changed(&emitter).await.expect("a signal");
    }

    /// The first `count` steps are done.
    pub(crate) async fn has_done(&self, count: usize) {
        self.moves(|job| job.steps.iter_mut().take(count).for_each(|step| step.state = "done".into())).await;
    }

    /// It waits for a person.
    pub(crate) async fn waits(&self, kind: &str, args: &[(&str, &str)]) {
        let problem = problem(kind, args);
        self.moves(|job| (job.state, job.problem) = ("waiting".into(), Some(problem))).await;
    }

    /// It is over: the renewal's item says so, the log tells what was made, and the object goes.
    pub(crate) async fn ends(&self, state: &str, made: &str) {
        let renewal = ItemView { state: state.into(), job: None, next_step: None, ..renewal() };
        {
            let mut daemon = self.daemon.state();
            daemon.items.retain(|item| item.id != renewal.id);
            daemon.items.push(renewal);
            if state == "done" {
                let args = [("job", "7"), ("name", "Anna Novak"), ("made", made)];
                daemon.log.push(record(99, "job-done", &args));
            }
        }
        let server = self.daemon.connection.object_server();
        server.remove::<Job, _>(JOB).await.expect("a job to remove");
        let emitter = SignalEmitter::new(&self.daemon.connection, JOB).expect("a path");
        Job::changed(&emitter).await.expect("a signal");
    }

    /// Asks for a secret through a pipe.
    pub(crate) async fn asks(&self, question: QuestionView, new: bool) -> Result<String, Error> {
        let agent = self.agent().await;
        ask(&agent, question, new).await
    }

    /// Asks the agent at a name for a secret.
    pub(crate) async fn asks_at(&self, name: &str, question: QuestionView) -> Result<String, Error> {
        ask(&self.daemon.agent_at(name).await, question, false).await
    }

    pub(crate) async fn asks_consent(&self) -> Result<bool, Error> {
        self.agent().await.consent(&consent()).await
    }

    pub(crate) async fn withdraws(&self, id: &str) {
        self.agent().await.withdraw(id).await.expect("a withdrawal");
    }

    /// Writes down what the test wants to see.
    pub(crate) fn notes(&self, what: impl Into<String>) {
        self.daemon.state().calls.push(what.into());
    }

    async fn agent(&self) -> AgentProxy<'static> {
        // Without a bus a name says nothing, but there must be one.
        self.daemon.agent_at(BUS_NAME).await
    }
}

async fn ask(agent: &AgentProxy<'_>, question: QuestionView, new: bool) -> Result<String, Error> {
    let (reading, writing) = obnova_secret::pipe().expect("a pipe");
    let writing = zbus::zvariant::OwnedFd::from(writing);
    if new {
        agent.new_secret(&question, writing).await?;
    } else {
        agent.secret(&question, writing).await?;
    }
    let secret = Secret::read_from_pipe(reading, 1024).await.expect("an answer in the pipe");
    Ok(String::from_utf8(secret.expose().to_vec()).expect("UTF-8"))
}

struct Manager(Daemon);

#[zbus::interface(name = "org.obnova.Manager1")]
impl Manager {
    #[expect(clippy::needless_pass_by_value, reason = "zbus hands it over")]
    fn items(&self, filter: Dictionary, after: &str, limit: u32) -> (Vec<Dictionary>, String) {
        let state = self.0.state();
        let all = filter.get("all").is_some_and(|all| bool::try_from(all).expect("a flag"));
        let kind = filter.get("kind").map(|kind| <&str>::try_from(kind).expect("a word").to_owned());
        let ended = |item: &&ItemView| matches!(item.state.as_str(), "retired" | "done" | "cancelled");
        let listed: Vec<&ItemView> = state
            .items
            .iter()
            .filter(|item| kind.as_ref().map_or(!matches!(item.kind.as_str(), "renewal" | "card"), |kind| item.kind == *kind))
            .filter(|item| all || !ended(item))
            .collect();
        let from = listed.iter().position(|item| item.id == after).map_or(0, |index| index + 1);
        // Pages as small as a server may make them: a client must go on to the end.
        let page: Vec<&ItemView> = listed[from..].iter().take(limit.min(2) as usize).copied().collect();
        let next = page.last().filter(|_| from + page.len() < listed.len()).map(|item| item.id.clone());
        (page.into_iter().map(keys).collect(), next.unwrap_or_default())
    }

    fn item(&self, id: &str) -> Result<Dictionary, Error> {
        let found = self.0.state().items.iter().find(|item| item.id == id).map(keys);
        found.ok_or_else(|| Error::new("no-such-item", [("id", id.to_owned())]))
    }

    async fn act(&self, id: &str, action: &str, options: Options) -> Result<OwnedObjectPath, Error> {
        let (script, begun, renewing) = {
            let mut state = self.0.state();
            let to = options.to.as_deref().map(|to| format!(" to {to}")).unwrap_or_default();
            let until = options.until.as_deref().map(|until| format!(" until {until}")).unwrap_or_default();
            state.calls.push(format!("{action} {id}{to}{until}"));
            if let Some(problem) = &state.refuses {
                return Err(Error::Problem(problem.clone()));
            }
            (state.script.clone(), state.job.clone(), matches!(action, "renew" | "resume" | "adopt"))
        };
        if matches!(action, "unblock" | "change-pin")
            && let Some(script) = &script
        {
            script(Run { daemon: self.0.clone(), job: Arc::default() }).await;
            return match self.0.state().refuses.take() {
                Some(problem) => Err(Error::Problem(problem)),
                None => Ok(ObjectPath::from_static_str_unchecked("/").into()),
            };
        }
        if !renewing {
            return Ok(ObjectPath::from_static_str_unchecked("/").into());
        }
        let fresh = begun.is_none();
        let job = begun.unwrap_or_else(|| Arc::new(Mutex::new(job())));
        if fresh {
            self.0.connection.object_server().at(JOB, Job(Arc::clone(&job))).await.expect("a free path");
        } else {
            let mut job = job.lock().expect("no test panics while it holds this");
            (job.state, job.problem) = ("running".into(), None);
        }
        if let Some(script) = script {
            let run = Run { daemon: self.0.clone(), job };
            tokio::spawn(script(run));
        }
        Ok(ObjectPath::from_static_str_unchecked(JOB).into())
    }

    async fn watch(&self, place: &str, options: Options) -> Result<Vec<String>, Error> {
        let locked = {
            let mut state = self.0.state();
            state.calls.push(format!("watch {place}"));
            assert_eq!(options, Options::default());
            if let Some(problem) = &state.refuses {
                return Err(Error::Problem(problem.clone()));
            }
            state.locked
        };
        if let Some(right) = locked {
            let run = Run { daemon: self.0.clone(), job: Arc::default() };
            let mut question = password("/home/anna/anna.p12");
            question.about = "watch".into();
            while run.asks(question.clone(), false).await? != right {
                question.refused = Some(true);
            }
        }
        let state = self.0.state();
        Ok(state.items.iter().filter(|item| item.place.as_deref() == Some(place)).map(|item| item.id.clone()).collect())
    }

    fn unwatch(&self, id: &str) {
        self.0.state().calls.push(format!("unwatch {id}"));
    }

    fn status(&self) -> StatusView {
        self.0.state().status.clone()
    }

    #[expect(clippy::unused_self, reason = "zbus hands it over")]
    fn discover(&self) -> Vec<ItemView> {
        let found = |item: ItemView| ItemView { kind: "found".into(), ..item };
        vec![found(mail()), found(locked())]
    }

    #[expect(clippy::unused_self, reason = "zbus hands it over")]
    fn programmes(&self) -> Vec<ProgrammeView> {
        vec![mailbox(), ProgrammeView { name: "self-signed".into(), roles: vec!["general".into()], ..mailbox() }]
    }

    fn check_programme(&self, file: &str, text: &str) -> Result<ProgrammeView, Error> {
        self.0.state().calls.push(format!("check {file}"));
        let mistake = [("file", file), ("line", "3"), ("column", "9"), ("message", "unknown variant `later`, expected `ask`")];
        match text {
            "" => Err(Error::new("programme-mistake", mistake.map(|(name, value)| (name, value.to_owned())))),
            _ => Ok(mailbox()),
        }
    }

    fn doctor(&self, id: &str) -> Vec<CheckView> {
        let mut state = self.0.state();
        state.calls.push(format!("doctor {id}"));
        state.checks.clone()
    }

    #[expect(clippy::needless_pass_by_value, reason = "zbus hands it over")]
    fn log(&self, filter: Dictionary, after: u64, limit: u32) -> Vec<LogView> {
        let since = filter.get("since").map(|since| <&str>::try_from(since).expect("a time").to_owned());
        let last = filter.get("last").map(|last| u32::try_from(last).expect("a number") as usize);
        let state = self.0.state();
        let from = last.map_or(0, |last| state.log.len().saturating_sub(last));
        let wanted = |record: &&LogView| record.sequence > after && since.as_ref().is_none_or(|since| record.at >= *since);
        // Pages as small as a server may make them.
        state.log[from..].iter().filter(wanted).take(limit.min(3) as usize).cloned().collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "zbus hands them over")]
    fn register_agent(&self, path: ObjectPath<'_>, options: AgentOptions) {
        assert_eq!((path.as_str(), options.notifies), (AGENT_PATH, Some(false)));
        self.0.state().calls.push("register an agent".into());
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, ids: Vec<String>, revision: u64) -> zbus::Result<()>;
}

struct Job(Arc<Mutex<JobView>>);

#[zbus::interface(name = "org.obnova.Job1")]
impl Job {
    fn status(&self) -> JobView {
        self.0.lock().expect("no test panics while it holds this").clone()
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// A view key by key, with one that only a newer daemon knows.
fn keys(item: &ItemView) -> Dictionary {
    let bytes = to_bytes(Context::new_dbus(LE, 0), item).expect("encoded");
    let mut keys: Dictionary = bytes.deserialize().expect("a dictionary").0;
    keys.insert("weather".into(), OwnedValue::try_from(Value::new("fair")).expect("a value"));
    keys
}

/// The way in which a mailbox's certificate is renewed.
fn mailbox() -> ProgrammeView {
    ProgrammeView {
        name: "vps-postfach".into(),
        roles: vec!["encryption".into()],
        authority: "self-signed".into(),
        key: "same".into(),
        secret: RulesView { min: 4, max: 8, digits_only: true },
        steps: ["preflight", "consent", "generate-keys"].map(str::to_owned).to_vec(),
        visiting_cards: vec!["office".into()],
        validity_days: Some(1095),
    }
}

/// A certificate that ends in 20 days and is to be renewed in 13.
pub(crate) fn anna() -> ItemView {
    ItemView {
        id: "a1a1a1a1a1a1a1a1".into(),
        kind: "identity".into(),
        name: "Anna Novak".into(),
        owner: "anna".into(),
        scope: "user".into(),
        state: "expiring".into(),
        level: "warning".into(),
        deadline: Some("2026-11-03T11:00:00Z".into()),
        not_after: Some("2026-11-10T11:00:00Z".into()),
        next_step: Some(next("renew", Some("renew"), Some("2026-11-03T11:00:00Z"))),
        programme: Some("self-signed".into()),
        place: Some("p12:/home/anna/anna.p12".into()),
        certificates: Some(vec![CertificateView {
            role: "general".into(),
            subject: "CN=Anna Novak,O=Žluťoučký kůň".into(),
            issuer: "CN=Anna Novak,O=Žluťoučký kůň".into(),
            serial: "01ab".into(),
            not_before: "2023-11-11T11:00:00Z".into(),
            not_after: "2026-11-10T11:00:00Z".into(),
            sha256: "5f".repeat(32),
            place: "p12:/home/anna/anna.p12".into(),
        }]),
        ..ItemView::default()
    }
}

/// A certificate that is well.
pub(crate) fn mail() -> ItemView {
    ItemView {
        id: "b2b2b2b2b2b2b2b2".into(),
        name: "mail.example.org".into(),
        state: "valid".into(),
        level: "ok".into(),
        deadline: Some("2028-03-04T11:00:00Z".into()),
        not_after: Some("2028-03-04T11:00:00Z".into()),
        next_step: None,
        place: Some("file:/home/anna/mail.pem".into()),
        certificates: None,
        ..anna()
    }
}

/// A file whose password is needed.
pub(crate) fn locked() -> ItemView {
    ItemView {
        id: "c3c3c3c3c3c3c3c3".into(),
        kind: "place".into(),
        name: "old key.p12".into(),
        state: "locked".into(),
        level: "warning".into(),
        next_step: Some(next("unlock", Some("unlock"), None)),
        problem: Some(problem("secret-needed", &[("path", "/home/anna/old key.p12")])),
        place: Some("p12:/home/anna/old key.p12".into()),
        deadline: None,
        not_after: None,
        programme: None,
        certificates: None,
        ..anna()
    }
}

/// What was replaced a year ago.
pub(crate) fn retired() -> ItemView {
    ItemView {
        id: "d4d4d4d4d4d4d4d4".into(),
        state: "retired".into(),
        level: "ok".into(),
        not_after: Some("2025-11-10T11:00:00Z".into()),
        deadline: None,
        next_step: None,
        certificates: None,
        ..anna()
    }
}

/// A renewal that waits for room on the disk.
pub(crate) fn renewal() -> ItemView {
    ItemView {
        id: "e5e5e5e5e5e5e5e5".into(),
        kind: "renewal".into(),
        state: "waiting".into(),
        level: "warning".into(),
        deadline: None,
        not_after: None,
        next_step: Some(next("resume", Some("resume"), None)),
        problem: Some(problem("disk-full", &[("path", "/home/anna/anna-2026.p12")])),
        programme: None,
        place: None,
        certificates: None,
        item: Some(anna().id),
        job: Some(JOB.into()),
        ..anna()
    }
}

pub(crate) fn problem(kind: &str, args: &[(&str, &str)]) -> ProblemView {
    let args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ProblemView { kind: kind.into(), args, who: "you".into(), by: None }
}

pub(crate) fn next(what: &str, action: Option<&str>, by: Option<&str>) -> NextStepView {
    NextStepView { who: "you".into(), what: what.into(), by: by.map(Into::into), action: action.map(Into::into) }
}

pub(crate) fn password(path: &str) -> QuestionView {
    QuestionView {
        id: "q1".into(),
        item: anna().id,
        name: "Anna Novak".into(),
        about: "renewal".into(),
        job: Some(JOB.into()),
        secret: Some("password".into()),
        uses: Some(vec!["open-old".into(), "protect-new".into()]),
        args: Some([("path".to_owned(), path.to_owned())].into()),
        ..QuestionView::default()
    }
}

pub(crate) fn new_pin() -> QuestionView {
    QuestionView {
        id: "q2".into(),
        secret: Some("pin".into()),
        rules: Some(RulesView { min: 4, max: 8, digits_only: true }),
        uses: None,
        ..password("/home/anna/anna-2026.p12")
    }
}

fn consent() -> QuestionView {
    let args = [
        ("name", "Anna Novak"),
        ("not_after", "2026-11-10T11:00:00Z"),
        ("to", "/home/anna/anna-2026.p12"),
        ("programme", "self-signed"),
        ("secret", "password"),
    ];
    QuestionView {
        id: "q3".into(),
        secret: None,
        uses: None,
        steps: Some(STEPS.map(Into::into).to_vec()),
        args: Some(args.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..password("")
    }
}

pub(crate) const STEPS: [&str; 7] = ["preflight", "consent", "generate-keys", "request", "verify", "install", "retire-old"];

fn job() -> JobView {
    let step = |step: &str| StepView { step: step.into(), state: "pending".into() };
    JobView {
        id: 7,
        item: renewal().id,
        subject: anna().id,
        kind: "renewal".into(),
        name: "Anna Novak".into(),
        state: "running".into(),
        steps: STEPS.map(step).to_vec(),
        started: "2026-10-21T08:00:00Z".into(),
        ..JobView::default()
    }
}

pub(crate) fn record(sequence: u64, event: &str, args: &[(&str, &str)]) -> LogView {
    LogView {
        sequence,
        at: format!("2026-10-{:02}T06:30:00Z", sequence.min(20)),
        event: event.into(),
        args: args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        item: None,
    }
}

fn story() -> Vec<LogView> {
    vec![
        record(1, "born", &[]),
        record(2, "watched", &[("place", "p12:/home/anna/anna.p12")]),
        record(
            3,
            "announced",
            &[("name", "Anna Novak"), ("threshold", "three-weeks"), ("not_after", "2026-11-10T11:00:00Z"), ("days", "21")],
        ),
        record(4, "snoozed", &[("name", "Anna Novak"), ("until", "2026-10-05T07:00:00Z")]),
        record(5, "job-started", &[("name", "Anna Novak"), ("programme", "self-signed"), ("job", "7")]),
        record(6, "step-begun", &[("job", "7"), ("name", "Anna Novak"), ("step", "install")]),
        record(7, "step-failed", &[("job", "7"), ("name", "Anna Novak"), ("step", "install"), ("problem", "disk-full")]),
        record(8, "job-postponed", &[("job", "7"), ("name", "Anna Novak")]),
    ]
}
