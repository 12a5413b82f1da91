//! The tray on a real desktop: X server, panel, notifications and pinentry of other people, clicked and typed into as a person
//! would. The daemon is in the test's hands (`tray/manager.rs`), except where the whole way is gone.

mod icon;
mod notifications;
mod questions;
mod renewal;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use obnova_api::{ItemView, NextStepView};
use obnova_tests::program;
use tempfile::TempDir;
use zbus::Connection;

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
        let mut command = Command::new(program("obnova-tray"));
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
/// And pinentry-gtk-2 the right one of its two.
const YES: (i32, i32) = (55, 26);

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
