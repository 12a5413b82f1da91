//! The tray against a daemon in the test's own hands, over a socket pair: items of an invented kind, notices, clicks, questions.
//! The screen is in the test's hands, too; `peers/desktop.rs` has a real one.

pub(crate) mod manager;

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use chrono::{FixedOffset, TimeZone, Utc};
use obnova_api::{AGENT_PATH, ItemView, NextStepView, QuestionView, RulesView};
use obnova_text::Text;
use obnova_tray::agent::{Agent, Pinentry};
use obnova_tray::desktop::{Desktop, Order, Response};
use obnova_tray::follow::{Follower, Parts};
use obnova_tray::menu::{Entry, Menu, SHOWN};
use obnova_tray::news::{News, Reply};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use zbus::zvariant::OwnedFd;
use zbus::{AuthMechanism, Connection, Guid};

use manager::World;

const PATIENCE: Duration = Duration::from_secs(10);

/// A tray that runs, and what a test holds of it.
struct Bench {
    world: World,
    /// The daemon's end.
    daemon: Connection,
    orders: UnboundedReceiver<Order>,
    responses: UnboundedSender<Response>,
    following: tokio::task::JoinHandle<Result<(), obnova_tray::follow::FollowError>>,
}

impl Bench {
    async fn start(world: World) -> Self {
        Self::with_pinentry(world, Pinentry::default()).await
    }

    async fn with_pinentry(world: World, pinentry: Pinentry) -> Self {
        let text = || Text::for_environment("C").in_zone(FixedOffset::east_opt(0).expect("UTC"));
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let guid = Guid::generate();
        let server = zbus::connection::Builder::unix_stream(ours)
            .server(guid)
            .expect("a server")
            .p2p()
            .auth_mechanism(AuthMechanism::External);
        let client = zbus::connection::Builder::unix_stream(theirs).p2p();
        let client = client.serve_at(AGENT_PATH, Agent::new(pinentry, text())).expect("a path");
        let (daemon, tray) = tokio::try_join!(server.build(), client.build()).expect("a connection");
        world.serve(&daemon).await;

        let (orders, taken) = unbounded_channel();
        let (responses, answered) = unbounded_channel();
        let desktop = Desktop { orders, responses: answered };
        let now = || Utc.with_ymd_and_hms(2026, 10, 20, 12, 0, 0).single().expect("a date");
        let follower =
            Follower::subscribe(Parts { daemon: tray, desktop, text: text(), now }).await.expect("a tray that subscribes");
        Self { world, daemon, orders: taken, responses, following: tokio::spawn(follower.follow()) }
    }

    async fn order(&mut self) -> Order {
        timeout(PATIENCE, self.orders.recv()).await.expect("an order in time").expect("a tray that runs")
    }

    async fn menu(&mut self) -> Option<Menu> {
        match self.order().await {
            Order::Menu(menu) => menu,
            other => panic!("no menu: {other:?}"),
        }
    }

    async fn news(&mut self) -> News {
        loop {
            match self.order().await {
                Order::Show(news) => return news,
                Order::Menu(_) => {}
                Order::Withdraw(_) => panic!("nothing is shown yet"),
            }
        }
    }

    async fn withdrawn(&mut self) -> String {
        loop {
            match self.order().await {
                Order::Withdraw(item) => return item,
                Order::Menu(_) => {}
                Order::Show(news) => panic!("shown: {news:?}"),
            }
        }
    }

    async fn acts(&self, count: usize) -> Vec<(String, String, obnova_api::Options)> {
        until(|| async { Some(self.world.state().acts.clone()).filter(|acts| acts.len() >= count) }).await
    }
}

/// Bounded polling for what has no event of its own.
async fn until<T, F: Future<Output = Option<T>>>(mut condition: impl FnMut() -> F) -> T {
    timeout(PATIENCE, async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("in time")
}

fn parcel(id: &str, level: &str) -> ItemView {
    ItemView {
        id: id.into(),
        kind: "parcel".into(),
        name: format!("Parcel {id}"),
        owner: "anna".into(),
        scope: "user".into(),
        state: "at-the-door".into(),
        level: level.into(),
        deadline: Some("2026-11-05T12:00:00Z".into()),
        next_step: Some(NextStepView { who: "you".into(), what: "collect".into(), by: None, action: Some("collect".into()) }),
        ..ItemView::default()
    }
}

fn collected(id: &str) -> ItemView {
    ItemView { next_step: None, state: "collected".into(), level: "ok".into(), ..parcel(id, "ok") }
}

#[tokio::test]
async fn items_of_an_invented_kind_are_on_the_menu() {
    let mut bench = Bench::start(World::with(vec![parcel("7", "warning"), collected("8")])).await;
    let menu = bench.menu().await.expect("a menu");
    assert_eq!(menu.level, obnova_api::Level::Warning);
    let line = |entry: &Entry| match entry {
        Entry::Line(text) => Some(text.clone()),
        Entry::Button { label, .. } => Some(format!("[{label}]")),
        Entry::Separator => None,
    };
    let shown: Vec<_> = menu.entries.iter().filter_map(line).collect();
    assert_eq!(shown, ["Parcel 7 — at the door · by 5 Nov", "[    Collect]", "Parcel 8 — collected · by 5 Nov"]);
    assert_eq!(bench.world.state().agents, [(String::new(), AGENT_PATH.to_owned())]);

    let click = menu.entries.iter().find_map(|entry| match entry {
        Entry::Button { click, .. } => Some(click.clone()),
        _ => None,
    });
    bench.responses.send(Response::Menu(click.expect("a button"))).expect("a tray that listens");
    let acts = bench.acts(1).await;
    assert_eq!((acts[0].0.as_str(), acts[0].1.as_str()), ("7", "collect"));

    bench.world.change(&bench.daemon, collected("7")).await;
    assert_eq!(bench.menu().await.expect("a menu").level, obnova_api::Level::Ok);
    bench.world.remove(&bench.daemon, "7").await;
    assert!(bench.menu().await.is_some());
    bench.world.remove(&bench.daemon, "8").await;
    assert_eq!(bench.menu().await, None, "without items there is no icon");
}

#[tokio::test]
async fn of_many_items_no_more_is_asked_for_than_is_shown() {
    let items = (0..1000).map(|number| parcel(&number.to_string(), "notice")).collect();
    let mut bench = Bench::start(World::with(items)).await;
    let menu = bench.menu().await.expect("a menu");
    let Some(Entry::Line(last)) = menu.entries.last() else { panic!("a last line") };
    assert!(last.contains(&(1000 - SHOWN).to_string()), "{last}");
    // The server gives five at a time.
    let pages = bench.world.state().pages.clone();
    assert_eq!(pages, [(String::new(), 13), ("4".to_owned(), 8), ("9".to_owned(), 3)]);
}

#[tokio::test]
async fn a_notice_is_told_once_and_answered() {
    let mut bench = Bench::start(World::with(vec![parcel("7", "warning")])).await;
    World::notice(&bench.daemon, "7", "one-week", "warning").await;
    let news = bench.news().await;
    assert_eq!((news.item.as_str(), news.title.as_str()), ("7", "Parcel 7"));
    assert_eq!(news.step.as_ref().map(|step| step.label.as_str()), Some("Collect"));

    for (reply, action) in [(Reply::Step, "collect"), (Reply::Later, "snooze"), (Reply::Dismissed, "dismiss")] {
        bench.world.state().acts.clear();
        World::notice(&bench.daemon, "7", "one-week", "warning").await;
        bench.news().await;
        bench.responses.send(Response::News("7".into(), reply)).expect("a tray that listens");
        let acts = bench.acts(1).await;
        assert_eq!((acts[0].0.as_str(), acts[0].1.as_str()), ("7", action));
        assert_eq!(acts[0].2.until.is_some(), reply == Reply::Later);
    }

    // One that nobody saw asks for nothing, and an answer to one that is gone neither: the next act is the click after them.
    bench.world.state().acts.clear();
    World::notice(&bench.daemon, "7", "one-week", "warning").await;
    bench.news().await;
    bench.responses.send(Response::News("7".into(), Reply::Gone)).expect("a tray that listens");
    bench.responses.send(Response::News("7".into(), Reply::Step)).expect("a tray that listens");
    World::notice(&bench.daemon, "7", "one-day", "critical").await;
    bench.news().await;
    bench.responses.send(Response::News("7".into(), Reply::Later)).expect("a tray that listens");
    assert_eq!(bench.acts(1).await[0].1, "snooze");
    assert_eq!(bench.world.state().acts.len(), 1);
}

#[tokio::test]
async fn a_notification_ends_with_its_step_and_with_its_item() {
    let mut bench = Bench::start(World::with(vec![parcel("7", "warning"), parcel("8", "warning")])).await;
    World::notice(&bench.daemon, "7", "one-week", "warning").await;
    bench.news().await;
    World::notice(&bench.daemon, "8", "one-week", "warning").await;
    bench.news().await;
    // Still due: a change alone takes nothing off, so that the first withdrawal is the one of the step that ended.
    bench.world.change(&bench.daemon, ItemView { state: "waiting".into(), ..parcel("7", "critical") }).await;
    bench.world.change(&bench.daemon, collected("7")).await;
    assert_eq!(bench.withdrawn().await, "7");
    bench.world.remove(&bench.daemon, "8").await;
    assert_eq!(bench.withdrawn().await, "8");
    // A notice about an item that is gone says nothing; the next one comes through.
    World::notice(&bench.daemon, "8", "one-week", "warning").await;
    World::notice(&bench.daemon, "7", "renewed", "ok").await;
    assert_eq!(bench.news().await.item, "7");
}

#[tokio::test]
async fn a_click_that_fails_says_why() {
    let mut bench = Bench::start(World::with(vec![parcel("7", "warning")])).await;
    bench.world.state().refuses = Some("already-renewing");
    World::notice(&bench.daemon, "7", "one-week", "warning").await;
    bench.news().await;
    bench.responses.send(Response::News("7".into(), Reply::Step)).expect("a tray that listens");
    let news = bench.news().await;
    assert_eq!(news.title, "It is already being renewed.");
    assert_eq!(news.step, None);
}

#[tokio::test]
async fn without_its_peer_it_ends_with_an_error() {
    let mut bench = Bench::start(World::with(vec![parcel("7", "warning")])).await;
    bench.menu().await;
    bench.daemon.close().await.expect("closed");
    let ended = timeout(PATIENCE, bench.following).await.expect("in time").expect("no panic");
    assert!(matches!(ended, Err(obnova_tray::follow::FollowError::Lost)), "{ended:?}");
}

/// A pinentry that answers `GETPIN` by the lines given, one after the other, and says yes to everything.
fn pinentry(answers: &[&str]) -> (TempDir, Pinentry) {
    let directory = TempDir::new().expect("a directory");
    let program = directory.path().join("pinentry");
    let branches: Vec<_> = answers.iter().enumerate().map(|(index, answer)| format!("{}) {answer} ;;", index + 1)).collect();
    let answers = branches.join(" ");
    let log = directory.path().join("log");
    let script = format!(
        "#!/bin/sh\nn=$(cat '{0}.n' 2>/dev/null || echo 0)\necho OK\nwhile IFS= read -r line; do\necho \"$line\" >>'{0}'\ncase \"$line\" in\nGETPIN) n=$((n+1)); echo $n >'{0}.n'; case $n in {answers} esac ;;\n*) echo OK ;;\nesac\ndone\n",
        log.display()
    );
    fs::write(&program, script).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("an executable script");
    (directory, Pinentry { program: Some(program.into()) })
}

fn question() -> QuestionView {
    QuestionView {
        id: "q1".into(),
        item: "7".into(),
        name: "Anna Novak".into(),
        about: "renewal".into(),
        secret: Some("password".into()),
        args: Some([("path".to_owned(), "/home/anna/anna.p12".to_owned())].into()),
        ..QuestionView::default()
    }
}

async fn read(reading: std::os::fd::OwnedFd) -> Vec<u8> {
    let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(reading).expect("a pipe");
    let mut bytes = Vec::new();
    timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut bytes)).await.expect("in time").expect("read");
    bytes
}

#[tokio::test]
async fn a_secret_comes_through_the_pipe_and_nothing_else() {
    let (directory, pinentry) = pinentry(&["printf 'D k\\305\\257\\305\\210%%25\\nOK\\n'"]);
    let bench = Bench::with_pinentry(World::with(vec![parcel("7", "warning")]), pinentry).await;
    until(|| async { (!bench.world.state().agents.is_empty()).then_some(()) }).await;
    let agent = bench.world.agent(&bench.daemon).await;
    let (reading, writing) = obnova_secret::pipe().expect("a pipe");
    agent.secret(&question(), OwnedFd::from(writing)).await.expect("an answer");
    assert_eq!(read(reading).await, "kůň%".as_bytes());
    let asked = fs::read_to_string(directory.path().join("log")).expect("what was asked");
    assert!(asked.contains("anna.p12"), "{asked}");
    assert!(agent.consent(&question()).await.expect("an answer"));
}

#[tokio::test]
async fn a_new_secret_is_asked_for_until_it_keeps_the_rules() {
    let (directory, pinentry) = pinentry(&[
        "printf 'D abcd\\nOK\\n'",
        "printf 'D 123\\nOK\\n'",
        "printf 'D 123456789\\nOK\\n'",
        "printf 'D 123456\\nOK\\n'",
    ]);
    let bench = Bench::with_pinentry(World::with(vec![parcel("7", "warning")]), pinentry).await;
    until(|| async { (!bench.world.state().agents.is_empty()).then_some(()) }).await;
    let agent = bench.world.agent(&bench.daemon).await;
    let (reading, writing) = obnova_secret::pipe().expect("a pipe");
    let rules = RulesView { min: 4, max: 8, digits_only: true };
    let question = QuestionView { rules: Some(rules), secret: Some("pin".into()), ..question() };
    agent.new_secret(&question, OwnedFd::from(writing)).await.expect("an answer");
    assert_eq!(read(reading).await, b"123456");
    let asked = fs::read_to_string(directory.path().join("log")).expect("what was asked");
    let reasons: Vec<_> = asked.lines().filter_map(|line| line.strip_prefix("SETERROR ")).collect();
    assert_eq!(reasons, ["Only digits, 0 to 9.", "Too short: at least 4 digits.", "Too long: at most 8 digits."]);
}

#[tokio::test]
async fn a_refusal_is_an_error_and_leaves_the_pipe_empty() {
    let (_directory, pinentry) = pinentry(&["echo 'ERR 83886179 Operation cancelled <Pinentry>'"]);
    let bench = Bench::with_pinentry(World::with(vec![parcel("7", "warning")]), pinentry).await;
    until(|| async { (!bench.world.state().agents.is_empty()).then_some(()) }).await;
    let agent = bench.world.agent(&bench.daemon).await;
    let (reading, writing) = obnova_secret::pipe().expect("a pipe");
    let error = agent.secret(&question(), OwnedFd::from(writing)).await.expect_err("refused");
    assert_eq!(error.kind(), Some("refused"));
    assert_eq!(read(reading).await, b"");
}

/// The window in front and the ones that wait for it are taken back, each by its own id.
#[tokio::test]
async fn what_is_withdrawn_needs_no_answer() {
    let (directory, pinentry) = pinentry(&["exec sleep 1000", "printf 'D later\\nOK\\n'"]);
    let bench = Bench::with_pinentry(World::with(vec![parcel("7", "warning")]), pinentry).await;
    until(|| async { (!bench.world.state().agents.is_empty()).then_some(()) }).await;
    let agent = bench.world.agent(&bench.daemon).await;
    let ask = |id: &str| {
        let (agent, question) = (agent.clone(), QuestionView { id: id.into(), ..question() });
        tokio::spawn(async move {
            let (reading, writing) = obnova_secret::pipe().expect("a pipe");
            let answer = agent.secret(&question, OwnedFd::from(writing)).await;
            (answer, read(reading).await)
        })
    };
    let first = ask("first");
    let log = directory.path().join("log");
    until(|| async { fs::read_to_string(&log).ok().filter(|text| text.contains("GETPIN")) }).await;
    let second = ask("second");
    agent.withdraw("first").await.expect("withdrawn");
    let (answer, bytes) = timeout(PATIENCE, first).await.expect("in time").expect("no panic");
    assert_eq!(answer.expect_err("withdrawn").kind(), Some("refused"));
    assert!(bytes.is_empty());
    let (answer, bytes) = timeout(PATIENCE, second).await.expect("in time").expect("no panic");
    answer.expect("the next question has its turn");
    assert_eq!(bytes, b"later");
}
