//! A daemon inside the test: production's composition root with a simulated clock, over a socket pair or a bus.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, FixedOffset, Timelike, Utc};
use futures_util::StreamExt;
use obnova_api::dict::Dictionary;
use obnova_api::{BUS_NAME, ItemView, MANAGER_PATH, ManagerProxy, Options};
use obnova_core::programme;
use obnova_tests::{Agent, Answer, Asked, Bus, Recipe, eventually, program};
use obnovad::bus::admission::Admission;
use obnovad::bus::views::Household;
use obnovad::clock::SimulatedClock;
use obnovad::config::Settings;
use obnovad::courier::Courier;
use obnovad::courier::protocol::Names;
use obnovad::credentials::Credentials;
use obnovad::helper::Helper;
use obnovad::keyring::Keyring;
use obnovad::{Parts, RunError};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::zvariant::Value;
use zbus::{AuthMechanism, Connection, Guid, MatchRule, Message, MessageStream};

/// What protects every file of these tests.
pub(crate) const SECRET: &str = "tajné, hemmelig";

/// A daemon, and the one client at the other end of its socket.
pub(crate) struct Inside {
    /// The client's end.
    pub(crate) client: Connection,
    /// The daemon as the client reaches it.
    pub(crate) manager: ManagerProxy<'static>,
    clock: SimulatedClock,
    signals: Arc<Mutex<Vec<Message>>>,
    hearing: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), RunError>>,
}

impl Inside {
    /// Runs on this state, by this clock, over a socket pair; it serves when this returns.
    pub(crate) async fn start(state: &Path, clock: &SimulatedClock) -> Self {
        Self::start_with(state, clock, |_| {}).await
    }

    /// The same with other parts, where `equip` exchanges some.
    pub(crate) async fn start_with(state: &Path, clock: &SimulatedClock, equip: impl FnOnce(&mut Parts)) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let server = zbus::connection::Builder::unix_stream(ours)
            .server(Guid::generate())
            .expect("a server")
            .p2p()
            .auth_mechanism(AuthMechanism::External);
        let client = zbus::connection::Builder::unix_stream(theirs).p2p();
        let (connection, client) = tokio::try_join!(server.build(), client.build()).expect("a connection");
        Self::run(connection, client, state, clock, equip).await
    }

    /// The same over a bus, with the name and the check of callers that belong to it.
    pub(crate) async fn start_on(bus: &Bus, state: &Path, clock: &SimulatedClock) -> Self {
        Self::run(bus.connect().await, bus.connect().await, state, clock, |_| {}).await
    }

    async fn run(
        connection: Connection,
        client: Connection,
        state: &Path,
        clock: &SimulatedClock,
        equip: impl FnOnce(&mut Parts),
    ) -> Self {
        let rule = MatchRule::builder().msg_type(Type::Signal).path_namespace(MANAGER_PATH).expect("a path").build();
        let mut stream = MessageStream::for_match_rule(rule, &client, Some(4096)).await.expect("a stream");
        let signals = Arc::<Mutex<Vec<Message>>>::default();
        let heard = Arc::clone(&signals);
        let hearing = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                heard.lock().expect("no panic while held").push(message);
            }
        });
        let on_bus = connection.is_bus();
        let mut parts = Parts {
            connection,
            bus_name: on_bus.then_some(BUS_NAME),
            state_dir: state.to_owned(),
            settings: Settings::default(),
            programmes: programme::built_in().expect("right programmes"),
            clock: Arc::new(clock.clone()),
            helper: Helper::at(program("obnova-helper")),
            courier: courier([]),
            readers: None,
            notify: None,
            machine: obnovad::watching::Machine::none(),
            keyring: Keyring::none(),
            credentials: Credentials::none(),
            modules: Vec::new(),
            household: Household { owner: "anna".into(), scope: "user" },
            admission: if on_bus { Admission::Owner(rustix::process::getuid().as_raw()) } else { Admission::Peer },
            reloads: None,
            idle_exit: None,
        };
        equip(&mut parts);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(obnovad::run(parts, async {
            // A test that drops its end wants the daemon to end, too.
            let _ = stopped.await;
        }));
        let manager = ManagerProxy::new(&client).await.expect("a proxy");
        let inside = Self { client, manager, clock: clock.clone(), signals, hearing, stop, running };
        // Before the objects are there, a call over a bus is answered with an error, and over a socket pair not at all.
        let moment = std::time::Duration::from_millis(50);
        let served = async || tokio::time::timeout(moment, inside.manager.status()).await.ok()?.ok();
        eventually("a daemon that serves", served).await;
        inside
    }

    /// Ends it as systemd does.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("a daemon that runs");
        self.running.await.expect("no panic").expect("a clean end");
        self.hearing.abort();
    }

    /// Moves the clock and waits until everything that follows from it has been written down.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.move_by(by);
        self.settle().await;
    }

    /// Waits until the engine has looked at the time: it does so between two requests.
    pub(crate) async fn settle(&self) {
        for _ in 0..3 {
            self.manager.status().await.expect("a status");
        }
    }

    /// The present moment by its clock.
    pub(crate) fn now(&self) -> DateTime<FixedOffset> {
        obnovad::clock::Clock::now(&self.clock)
    }

    /// Moves the clock on to the next moment at which it shows this hour.
    pub(crate) async fn until_hour(&self, hour: u32) {
        let now = self.now();
        let today = now.with_hour(hour).and_then(|time| time.with_minute(0)).expect("a time");
        let then = if today > now { today } else { today + Duration::days(1) };
        self.pass(then - now).await;
    }

    /// The thresholds that were announced so far, as the log has them; no signal says more, none less.
    pub(crate) async fn announced(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = self.manager.log(Dictionary::new(), after, 1000).await.expect("a log");
            let Some(last) = page.last() else { return all };
            after = last.sequence;
            all.extend(page.into_iter().filter(|line| line.event == "announced").map(|line| line.args["threshold"].clone()));
        }
    }

    /// The events of the signals `Noticed` so far; waits until there are as many as `count`.
    pub(crate) async fn noticed(&self, count: usize) -> Vec<String> {
        let heard = || -> Vec<String> {
            let noticed = self.signals("Noticed");
            noticed.iter().map(|signal| signal.body().deserialize::<(String, String, String)>().expect("a notice").1).collect()
        };
        eventually(&format!("{count} notices"), async || Some(heard()).filter(|heard| heard.len() >= count)).await
    }

    /// The signals of this name so far.
    pub(crate) fn signals(&self, member: &str) -> Vec<Message> {
        let all = self.signals.lock().expect("no panic while held");
        let named = |message: &&Message| message.header().member().is_some_and(|found| found == member);
        all.iter().filter(named).cloned().collect()
    }

    /// All signals so far.
    pub(crate) fn all_signals(&self) -> Vec<Message> {
        self.signals.lock().expect("no panic while held").clone()
    }

    /// All items that are shown.
    pub(crate) async fn items(&self) -> Vec<ItemView> {
        self.manager.items(Dictionary::new(), "", 100).await.expect("a page").0
    }

    /// The one certificate that is shown.
    pub(crate) async fn identity(&self) -> ItemView {
        let mut identities = self.items().await;
        identities.retain(|item| item.kind == "identity");
        assert_eq!(identities.len(), 1, "{identities:?}");
        identities.remove(0)
    }

    /// The one renewal, once it is in this state.
    pub(crate) async fn renewal(&self, state: &str) -> ItemView {
        let filter = || Dictionary::from([("kind".to_owned(), Value::from("renewal").try_to_owned().expect("a value"))]);
        eventually(&format!("a renewal that is {state}"), async || {
            let (renewals, _) = self.manager.items(filter(), "", 100).await.expect("a page");
            renewals.into_iter().find(|renewal| renewal.state == state)
        })
        .await
    }

    /// Watches a place that needs no answer; the ids of what is there.
    pub(crate) async fn watch(&self, place: &str) -> Vec<String> {
        self.manager.watch(place, &Options::default()).await.expect("watched")
    }

    /// Does something about an item that takes no options.
    pub(crate) async fn act(&self, id: &str, action: &str) -> String {
        self.manager.act(id, action, &Options::default()).await.expect("done").to_string()
    }

    /// An agent at the client's end who says yes and knows [`SECRET`].
    pub(crate) async fn willing_agent(&self, notifies: bool) -> Agent {
        let agent = Agent::at(self.client.clone(), |asked, _| {
            std::future::ready(if asked == Asked::Consent { Answer::Yes } else { Answer::Secret(SECRET.into()) })
        })
        .await;
        agent.register(notifies).await;
        agent
    }
}

/// A courier that finds these texts under these names, and asks nobody.
pub(crate) fn courier(zone: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>) -> Courier {
    Courier::at(program("obnova-courier"), Names::zone(zone))
}

/// A clock at this real moment, from which the days of [`Recipe`] count, in the zone where it is ten o'clock in the morning.
pub(crate) fn clock() -> SimulatedClock {
    let now = Utc::now();
    let east = 10 - i32::try_from(now.hour()).expect("an hour");
    SimulatedClock::at(now.with_timezone(&FixedOffset::east_opt(east * 3600).expect("a zone")))
}

/// A certificate with so many days left and its unprotected key, as PEM in one file; its place.
pub(crate) fn pem(directory: &Path, name: &str, days_left: i64) -> (PathBuf, String) {
    let made = Recipe::new(name).days_left(days_left).make();
    let path = directory.join(format!("{}.pem", name.to_lowercase().replace(' ', "-")));
    std::fs::write(&path, [made.pem(), made.key_pem()].concat()).expect("written");
    let place = format!("file:{}", path.display());
    (path, place)
}
