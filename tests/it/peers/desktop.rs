//! The tray on a real desktop: X server, panel, notifications and pinentry of other people, clicked and typed into as a person
//! would. The daemon is in the test's hands (`tray/manager.rs`).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use obnova_api::{ItemView, NextStepView, QuestionView};
use tempfile::TempDir;
use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::{OwnedFd, OwnedValue, Value};

use crate::tray::manager::World;

/// For what must come: programs of a desktop take their time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A desktop that runs, with a tray on it. Ends everything when dropped.
struct Desk {
    directory: TempDir,
    desktop: Child,
    commands: Option<ChildStdin>,
    tray: Option<Child>,
    display: String,
    bus: String,
}

impl Desk {
    fn start(later: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut command = Command::new(root().join("tests/testbed/desktop.sh"));
        command.arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        for program in later {
            command.env(program, "later");
        }
        let mut desktop = command.spawn().expect("desktop.sh");
        let commands = desktop.stdin.take();
        let mut ready = String::new();
        BufReader::new(desktop.stdout.take().expect("its output")).read_line(&mut ready).expect("a line");
        let mut words = ready.split_whitespace();
        let display = words.next().and_then(|word| word.strip_prefix("DISPLAY=")).expect("a display").to_owned();
        let bus = words.next().and_then(|word| word.strip_prefix("BUS=")).expect("a bus").to_owned();
        Self { directory, desktop, commands, tray: None, display, bus }
    }

    /// Starts what was to come later.
    fn bring(&mut self, program: &str) {
        writeln!(self.commands.as_mut().expect("a desktop that runs"), "{program}").expect("told");
    }

    async fn connect(&self) -> Connection {
        let bus = zbus::connection::Builder::address(self.bus.as_str()).expect("an address");
        bus.build().await.expect("a connection")
    }

    fn start_tray(&mut self) {
        let log = File::create(self.log()).expect("a log");
        let mut command = Command::new(programs().join("obnova-tray"));
        command.args(["--pinentry", "pinentry-gtk-2"]).env("OBNOVA_LOG", "debug").stderr(log);
        self.tray = Some(self.at_home(&mut command).spawn().expect("the tray"));
    }

    fn stop_tray(&mut self) -> std::process::ExitStatus {
        let mut tray = self.tray.take().expect("a tray that runs");
        let number = rustix::process::Pid::from_child(&tray);
        rustix::process::kill_process(number, rustix::process::Signal::TERM).expect("SIGTERM");
        tray.wait().expect("its end")
    }

    fn at_home<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("HOME", self.directory.path())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("WAYLAND_DISPLAY")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("tray.log")
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("timeout");
        let output = self.at_home(command.args(["10", "xdotool"]).args(arguments)).output().expect("xdotool");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The visible window of this class that is neither a helper of one nor the panel.
    fn window(&self, class: &str) -> Option<Window> {
        let found = self.xdotool(&["search", "--onlyvisible", "--class", class]);
        found.lines().find_map(|id| {
            let geometry = self.xdotool(&["getwindowgeometry", "--shell", id]);
            let number = |name: &str| -> Option<i32> {
                geometry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            };
            let window = Window { id: id.to_owned(), width: number("WIDTH")?, height: number("HEIGHT")? };
            (window.width > 40 && window.height > 40).then_some(window)
        })
    }

    async fn appears(&self, class: &str) -> Window {
        self.until(class, || self.window(class)).await
    }

    async fn disappears(&self, class: &str) {
        self.until(&format!("the end of {class}"), || self.window(class).is_none().then_some(())).await;
    }

    /// Clicks into a window, so far from its right and lower edges.
    fn click(&self, window: &Window, (right, bottom): (i32, i32)) {
        let (x, y) = (window.width - right, window.height - bottom);
        self.xdotool(&["mousemove", "--window", &window.id, &x.to_string(), &y.to_string(), "click", "1"]);
    }

    /// Bounded polling; a picture of the screen tells why it did not come.
    async fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition() {
                return value;
            }
            if Instant::now() > deadline {
                let picture = std::env::temp_dir().join(format!("obnova-desktop-{}.png", std::process::id()));
                self.picture(&picture);
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                panic!("{what} did not come; see {}\n{log}", picture.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn picture(&self, path: &Path) {
        let mut command = Command::new("timeout");
        let status = self.at_home(command.args(["10", "import", "-window", "root"]).arg(path)).status().expect("import");
        assert!(status.success());
    }

    /// A picture for whoever asks for it by `OBNOVA_PICTURES=DIRECTORY`.
    fn keep_picture(&self, name: &str) {
        if let Some(directory) = std::env::var_os("OBNOVA_PICTURES") {
            self.picture(&Path::new(&directory).join(format!("{name}.png")));
        }
    }
}

/// A window on the screen.
struct Window {
    id: String,
    width: i32,
    height: i32,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(mut tray) = self.tray.take() {
            tray.kill().expect("the tray is ours");
            tray.wait().expect("its end");
        }
        drop(self.commands.take());
        self.desktop.wait().expect("the end of the desktop");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace")
}

/// Where cargo put the workspace's programs: this test's own is in `deps` below it.
fn programs() -> PathBuf {
    std::env::current_exe().expect("the path of this program").ancestors().nth(2).expect("a target directory").to_owned()
}

fn anna() -> ItemView {
    ItemView {
        id: "a1".into(),
        kind: "identity".into(),
        name: "Anna Nováková & Co".into(),
        owner: "anna".into(),
        scope: "user".into(),
        state: "expiring".into(),
        level: "warning".into(),
        not_after: Some("2099-11-10T12:00:00Z".into()),
        next_step: Some(NextStepView { who: "you".into(), what: "renew".into(), by: None, action: Some("renew".into()) }),
        ..ItemView::default()
    }
}

/// One item that is due, a tray that shows it, and the daemon's connection.
async fn with_anna(later: &[&str]) -> (Desk, Connection, World) {
    let mut desk = Desk::start(later);
    let bus = desk.connect().await;
    let world = World::with(vec![anna()]);
    world.serve(&bus).await;
    desk.start_tray();
    desk.until("an agent", || (!world.state().agents.is_empty()).then_some(())).await;
    (desk, bus, world)
}

/// Where xfce4-notifyd draws the buttons, and where there is none: from the right and lower edges.
const RENEW: (i32, i32) = (149, 31);
const LATER: (i32, i32) = (57, 31);
const BODY: (i32, i32) = (300, 31);

/// What the daemon is asked to do after a click into the notification. Clicks again until it comes: a window that has just come
/// up may not listen yet.
async fn act_after(desk: &Desk, world: &World, point: (i32, i32)) -> (String, String, obnova_api::Options) {
    desk.until("the act of a click", || {
        if let Some(window) = desk.window("xfce4-notifyd") {
            desk.click(&window, point);
        }
        world.state().acts.first().cloned()
    })
    .await
}

#[tokio::test]
async fn a_notification_is_clicked_put_off_and_closed() {
    let (desk, bus, world) = with_anna(&[]).await;
    let notice = async || {
        world.state().acts.clear();
        World::notice(&bus, "a1", "three-weeks", "warning").await;
        desk.appears("xfce4-notifyd").await;
    };

    notice().await;
    desk.keep_picture("notification");
    let (id, action, _) = act_after(&desk, &world, RENEW).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "renew"));
    desk.disappears("xfce4-notifyd").await;

    notice().await;
    let (id, action, options) = act_after(&desk, &world, LATER).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "snooze"));
    let until = chrono::DateTime::parse_from_rfc3339(&options.until.expect("until when")).expect("RFC 3339");
    let wait = until.to_utc() - chrono::Utc::now();
    assert!(wait > chrono::Duration::hours(8) && wait < chrono::Duration::hours(34), "tomorrow at nine, not in {wait}");
    desk.disappears("xfce4-notifyd").await;

    notice().await;
    let (id, action, _) = act_after(&desk, &world, BODY).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "dismiss"));
    desk.disappears("xfce4-notifyd").await;

    // A newer one takes the place of the older, and the end of the step takes it off.
    notice().await;
    World::notice(&bus, "a1", "today", "critical").await;
    let renewed = ItemView { next_step: None, state: "valid".into(), level: "ok".into(), ..anna() };
    desk.keep_picture("critical");
    world.change(&bus, renewed).await;
    desk.disappears("xfce4-notifyd").await;
    assert_eq!(world.state().acts, [], "nobody did anything");
}

#[tokio::test]
async fn nobody_but_the_server_speaks_for_the_person() {
    let (desk, bus, world) = with_anna(&[]).await;
    World::notice(&bus, "a1", "three-weeks", "warning").await;
    desk.appears("xfce4-notifyd").await;
    let stranger = desk.connect().await;
    let tray = world.state().agents[0].0.clone();
    for destination in [None, Some(tray.as_str())] {
        for number in 1..20_u32 {
            let signal = ("/org/freedesktop/Notifications", "org.freedesktop.Notifications");
            stranger.emit_signal(destination, signal.0, signal.1, "ActionInvoked", &(number, "step")).await.expect("sent");
        }
    }
    // The bus keeps the order of what one connection is sent: this answer tells that the forgeries have been there.
    let question = QuestionView { id: "q".into(), ..QuestionView::default() };
    let (_reading, writing) = obnova_secret::pipe().expect("a pipe");
    let asked: zbus::Result<_> = stranger
        .call_method(
            Some(tray.as_str()),
            obnova_api::AGENT_PATH,
            Some("org.obnova.Agent1"),
            "Secret",
            &(question, OwnedFd::from(writing)),
        )
        .await;
    let error = obnova_api::Error::from(asked.expect_err("a stranger asks"));
    assert_eq!(error.kind(), Some("not-authorized"));
    assert_eq!(world.state().acts, []);
    assert_eq!(act_after(&desk, &world, RENEW).await.1, "renew");
}

/// Address and path of the menu of the only icon.
async fn icon(bus: &Connection) -> Option<(String, String)> {
    let watcher = proxy(bus, "org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher", "org.kde.StatusNotifierWatcher").await;
    // None where there is no panel.
    let items: Vec<String> = watcher.get_property("RegisteredStatusNotifierItems").await.unwrap_or_default();
    let item = items.first()?;
    let (address, path) = item
        .split_once('/')
        .map_or((item.as_str(), "/StatusNotifierItem".to_owned()), |(address, path)| (address, format!("/{path}")));
    Some((address.to_owned(), path))
}

async fn proxy(bus: &Connection, name: &str, path: &str, interface: &str) -> zbus::Proxy<'static> {
    zbus::proxy::Builder::new(bus)
        .destination(name.to_owned())
        .expect("a name")
        .path(path.to_owned())
        .expect("a path")
        .interface(interface.to_owned())
        .expect("an interface")
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .expect("a proxy")
}

async fn icon_appears(bus: &Connection) -> (String, String) {
    timeout(PATIENCE, async {
        loop {
            if let Some(icon) = icon(bus).await {
                return icon;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("an icon in time")
}

type Layout = (u32, (i32, std::collections::HashMap<String, OwnedValue>, Vec<OwnedValue>));

/// The labels of the menu with their numbers, and who answers for them.
async fn menu(bus: &Connection) -> (zbus::Proxy<'static>, Vec<(i32, String)>) {
    let (address, path) = icon_appears(bus).await;
    let item = proxy(bus, &address, &path, "org.kde.StatusNotifierItem").await;
    let at: zbus::zvariant::OwnedObjectPath = item.get_property("Menu").await.expect("a menu");
    let menu = proxy(bus, &address, at.as_str(), "com.canonical.dbusmenu").await;
    let (_, (_, _, children)): Layout = menu.call("GetLayout", &(0, -1, ["label"].as_slice())).await.expect("a layout");
    let labels = children.into_iter().map(|child| {
        let (number, properties, _): (i32, std::collections::HashMap<String, OwnedValue>, Vec<OwnedValue>) =
            child.try_into().expect("an entry");
        let label = properties.get("label").map(|label| label.downcast_ref::<String>().expect("a text")).unwrap_or_default();
        (number, label)
    });
    (menu, labels.collect())
}

#[tokio::test]
async fn the_icon_stands_for_the_worst_and_its_menu_acts() {
    let (desk, bus, world) = with_anna(&[]).await;
    let (menu_of, labels) = menu(&bus).await;
    let texts: Vec<&str> = labels.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["Anna Nováková & Co — ends soon · ends 10 Nov 2099", "    Renew"]);
    let (address, path) = icon_appears(&bus).await;
    let item = proxy(&bus, &address, &path, "org.kde.StatusNotifierItem").await;
    let id: String = item.get_property("Id").await.expect("an id");
    assert_eq!(id, "obnova");

    // The panel shows it: a click where the tray begins opens the menu.
    desk.until("the menu", || {
        desk.xdotool(&["mousemove", "12", "16", "click", "3"]);
        desk.window("wrapper-2.0")
    })
    .await;
    desk.keep_picture("menu");
    desk.xdotool(&["key", "Escape"]);

    let () = menu_of.call("Event", &(labels[1].0, "clicked", Value::from(0), 0_u32)).await.expect("clicked");
    let act = desk.until("the act of a click", || world.state().acts.first().cloned()).await;
    assert_eq!((act.0.as_str(), act.1.as_str()), ("a1", "renew"));

    world.remove(&bus, "a1").await;
    timeout(PATIENCE, async {
        while icon(&bus).await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("no icon without items");
}

#[tokio::test]
async fn panel_and_notifications_may_come_later_and_the_daemon_may_go() {
    let (mut desk, bus, world) = with_anna(&["PANEL", "NOTIFICATIONS"]).await;
    World::notice(&bus, "a1", "three-weeks", "warning").await;
    let log = desk.log();
    desk.until("a word about it", || fs::read_to_string(&log).ok().filter(|text| text.contains("nobody shows"))).await;
    desk.bring("panel");
    icon_appears(&bus).await;
    desk.bring("notifications");
    desk.appears("xfce4-notifyd").await;

    // It goes and comes again under another name of the bus: the tray says so, then finds it, and what it showed still counts.
    bus.release_name(obnova_api::BUS_NAME).await.expect("released");
    timeout(PATIENCE, async {
        while menu(&bus).await.1.iter().any(|(_, text)| text.contains("Anna")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the silence is shown");
    let again = desk.connect().await;
    world.serve(&again).await;
    desk.until("another agent", || (world.state().agents.len() == 2).then_some(())).await;
    assert_eq!(act_after(&desk, &world, RENEW).await.1, "renew");

    assert_eq!(fs::read_to_string(&log).expect("the log").matches("nobody shows").count(), 1, "said once");
    assert!(desk.stop_tray().success(), "SIGTERM ends it well");
}

#[tokio::test]
async fn a_bus_that_goes_away_is_a_failure() {
    let (mut desk, bus, _world) = with_anna(&[]).await;
    icon_appears(&bus).await;
    drop(desk.commands.take());
    let mut tray = desk.tray.take().expect("a tray that runs");
    let ended = desk.until("its end", || tray.try_wait().expect("a child")).await;
    assert_eq!(ended.code(), Some(1));
}

/// What xdotool can type and a careless conversion loses.
const PASSWORD: &str = "Grüße, kůň & 100 % _Ž";

#[tokio::test]
async fn a_password_is_typed_with_all_its_letters() {
    let (desk, bus, world) = with_anna(&[]).await;
    let agent = world.agent(&bus).await;
    let ask = |id: &str| {
        let agent = agent.clone();
        let question = QuestionView {
            id: id.into(),
            item: "a1".into(),
            name: "Anna Nováková & Co".into(),
            about: "renewal".into(),
            secret: Some("password".into()),
            uses: Some(vec!["open-old".into(), "protect-new".into()]),
            args: Some([("path".to_owned(), "/home/anna/100 % Anna.p12".to_owned())].into()),
            ..QuestionView::default()
        };
        tokio::spawn(async move {
            let (reading, writing) = obnova_secret::pipe().expect("a pipe");
            let answer = agent.secret(&question, OwnedFd::from(writing)).await;
            let mut bytes = Vec::new();
            let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(reading).expect("a pipe");
            tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut bytes).await.expect("read");
            (answer, bytes)
        })
    };

    let typed = ask("typed");
    desk.appears("pinentry").await;
    desk.xdotool(&["type", PASSWORD]);
    desk.keep_picture("pinentry");
    desk.xdotool(&["key", "Return"]);
    let (answer, bytes) = timeout(PATIENCE, typed).await.expect("in time").expect("no panic");
    answer.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&bytes), PASSWORD);
    desk.disappears("pinentry").await;

    let closed = ask("closed");
    desk.appears("pinentry").await;
    desk.until("a refusal", || {
        desk.xdotool(&["key", "Escape"]);
        closed.is_finished().then_some(())
    })
    .await;
    let (answer, bytes) = closed.await.expect("no panic");
    assert_eq!(answer.expect_err("closed").kind(), Some("refused"));
    assert!(bytes.is_empty());
    desk.disappears("pinentry").await;

    let withdrawn = ask("withdrawn");
    desk.appears("pinentry").await;
    agent.withdraw("withdrawn").await.expect("taken back");
    let (answer, _) = timeout(PATIENCE, withdrawn).await.expect("in time").expect("no panic");
    assert_eq!(answer.expect_err("taken back").kind(), Some("refused"));
    desk.disappears("pinentry").await;

    // Nothing of it is left where others could read: neither log nor memory may be looked into.
    let log = fs::read_to_string(desk.log()).expect("the log");
    assert!(!log.contains("kůň") && !log.contains("k%C5"), "{log}");
}

#[tokio::test]
async fn consent_is_a_window_that_says_what_will_happen() {
    let (desk, bus, world) = with_anna(&[]).await;
    let agent = world.agent(&bus).await;
    let question = QuestionView {
        id: "q".into(),
        item: "a1".into(),
        name: "Anna Nováková & Co".into(),
        about: "renewal".into(),
        steps: Some(["generate-keys", "request", "verify", "install", "retire-old"].map(str::to_owned).to_vec()),
        args: Some(
            [
                ("name", "Anna Nováková & Co"),
                ("not_after", "2099-11-10T12:00:00Z"),
                ("to", "/home/anna/anna-2099.p12"),
                ("programme", "self-signed"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ),
        ..QuestionView::default()
    };
    for answer in [true, false] {
        let (asking, question) = (agent.clone(), question.clone());
        let asked = tokio::spawn(async move { asking.consent(&question).await });
        desk.appears("pinentry").await;
        if answer {
            desk.keep_picture("consent");
        }
        desk.until("an answer", || {
            // The left one of its two buttons has the focus: no.
            match desk.window("pinentry") {
                Some(window) if answer => desk.click(&window, (55, 26)),
                _ => drop(desk.xdotool(&["key", "Return"])),
            }
            asked.is_finished().then_some(())
        })
        .await;
        assert_eq!(asked.await.expect("no panic").expect("an answer"), answer);
        desk.disappears("pinentry").await;
    }
}
