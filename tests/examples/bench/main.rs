//! `make bench`: how fast and how small the release build is, against its limits and beside certmonger on the same files.
//! Owns the order of the measurements and the limits; it judges, but fails only where nothing could be measured.
//!
//! Arguments: the directory of the programs, one in which certificates are kept for the next time, and, where not everything is to be
//! measured, `files`, `mail` or `cards`.

mod cards;
mod certmonger;
mod desktop;
mod mail;
mod network;
mod process;
mod sets;
mod shares;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use obnova_tests::{Bus, Recipe};
use tempfile::TempDir;
use tokio::process::Command;
use zbus::Connection;

use certmonger::Certmonger;
use desktop::Desktop;
use process::{Running, idle_for, timed};
use sets::{Set, set};
use table::{Row, Table, machine, say};

/// What a program may do for so long before it is held to be asleep: tokio keeps an unused thread for ten seconds.
const SETTLING: Duration = Duration::from_secs(15);

/// How long it must then be asleep.
const ASLEEP: Duration = Duration::from_mins(1);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(programs), Some(cache)) = (arguments.next(), arguments.next()) else {
        panic!("to be called with the directory of the programs, and one for certificates that are kept");
    };
    let wanted: Vec<PathBuf> = arguments.collect();
    let wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|named| named == Path::new(part));
    say(&machine());
    let mut table = Table::default();
    if wanted("files") {
        files(&programs, &cache, &mut table).await;
    }
    if wanted("mail") {
        mail::report(&programs, &mut table).await;
    }
    if wanted("network") {
        network::report(&programs, &mut table).await;
    }
    // Readers of one's own are root's.
    if wanted("cards") && rustix::process::geteuid().is_root() {
        cards::report(&programs, &mut table).await;
    }
    table.print();
    say(&machine());
}

/// What lies in files, the tray, and everything asleep.
async fn files(programs: &Path, cache: &Path, table: &mut Table) {
    let mut peers = Vec::new();
    let places = [(1, 9, 9), (100, 9, 5), (1_000, 9, 1), (100_000, 5, 0)];
    for (count, runs, peer_runs) in places {
        let set = set(cache, count);
        say(&format!("{count} certificates"));
        let mut figures = Figures::of(programs, &set, runs).await;
        if peer_runs > 0 && Certmonger::is_installed() {
            say(&format!("{count} certificates in certmonger"));
            let peer = Certmonger::with(&set).await;
            let measured = peer.figures(peer_runs).await;
            figures.beside(measured);
            peers.push(peer);
        }
        figures.report(count, table);
    }
    say("the tray");
    let tray = Tray::start(programs).await;
    tray.report(9, table).await;
    say("asleep for 75 seconds");
    asleep(programs, &set(cache, 1_000), tray, peers.get(1), table).await;
}

/// A daemon with nobody's configuration and a state of its own.
struct Household {
    bus: Bus,
    connection: Connection,
    programs: PathBuf,
    scratch: TempDir,
}

impl Household {
    async fn new(programs: &Path) -> Self {
        let bus = Bus::start().await;
        let connection = bus.connect().await;
        Self { bus, connection, programs: programs.to_owned(), scratch: tempfile::tempdir().expect("a directory") }
    }

    /// Starts it; how long it took to its name.
    async fn start(&self) -> (Running, Duration) {
        Running::start(&mut self.obnovad(), &self.connection, "org.obnova.Daemon1").await
    }

    fn obnovad(&self) -> Command {
        let mut command = Command::new(self.programs.join("obnovad"));
        command.args(["--bus", self.bus.address(), "--state-dir"]).arg(self.scratch.path().join("state"));
        command.env("XDG_CONFIG_HOME", self.scratch.path()).env("OBNOVA_LOG", "warn");
        command
    }

    fn obnova(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("obnova"));
        command.args(["--bus", self.bus.address()]).args(words);
        command
    }

    async fn watch(&self, set: &Set) -> Duration {
        let roots: Vec<String> = set.roots.iter().map(|root| format!("file:{}", root.display())).collect();
        let words: Vec<&str> = ["watch"].into_iter().chain(roots.iter().map(String::as_str)).collect();
        timed(&mut self.obnova(&words)).await
    }

    /// Makes sure that what is measured is what is meant.
    async fn expect(&self, count: usize) {
        let listed = self.obnova(&["list", "--json"]).output().await.expect("obnova runs");
        let items: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).expect("an array");
        let identities = items.iter().filter(|item| item["kind"] == "identity").count();
        assert_eq!(identities, count, "certificates are listed");
    }
}

/// What is measured of one number of certificates, in seconds and MB.
#[derive(Default)]
struct Figures {
    first_look: Vec<f64>,
    start: Vec<f64>,
    list: Vec<f64>,
    json: Vec<f64>,
    memory: Vec<f64>,
    peer: Option<certmonger::Figures>,
}

impl Figures {
    async fn of(programs: &Path, set: &Set, runs: usize) -> Self {
        let mut figures = Self::default();
        let mut household = Household::new(programs).await;
        for again in (0..runs.div_ceil(3)).rev() {
            let (daemon, _) = household.start().await;
            figures.first_look.push(household.watch(set).await.as_secs_f64());
            household.expect(set.count).await;
            daemon.calm().await;
            daemon.stop().await;
            if again > 0 {
                household = Household::new(programs).await;
            }
        }
        for _ in 0..runs {
            let (daemon, start) = household.start().await;
            figures.start.push(start.as_secs_f64());
            daemon.calm().await;
            figures.list.push(timed(&mut household.obnova(&["list"])).await.as_secs_f64());
            figures.memory.extend(daemon.megabytes());
            figures.json.push(timed(&mut household.obnova(&["list", "--json"])).await.as_secs_f64());
            daemon.stop().await;
        }
        figures
    }

    fn beside(&mut self, peer: certmonger::Figures) {
        self.peer = Some(peer);
    }

    fn report(self, count: usize, table: &mut Table) {
        let (start, list, memory) = match count {
            1 => (None, None, Some(5.0)),
            1_000 => (Some(0.03), Some(0.05), Some(6.0)),
            100_000 => (Some(1.0), None, Some(64.0)),
            _ => (None, None, None),
        };
        let peer = self.peer.unwrap_or_default();
        let first_look = (count == 1_000).then_some(1.0);
        table.head(&format!("{count} tracked"));
        table.add(Row::new("start to bus name", "s", self.start).limit(start).peer(peer.start));
        table.add(Row::new("list", "s", self.list).limit(list).peer(peer.list));
        table.add(Row::new("list --json", "s", self.json));
        table.add(Row::new("PSS after a list", "MB", self.memory).limit(memory).peer(peer.memory));
        table.add(Row::new("first look at the files", "s", self.first_look).limit(first_look));
    }
}

/// A tray on a desktop of ours, with a certificate to warn about.
struct Tray {
    household: Household,
    desktop: Desktop,
    _daemon: Running,
}

impl Tray {
    async fn start(programs: &Path) -> Self {
        let household = Household::new(programs).await;
        let certificate = household.scratch.path().join("anna.crt");
        std::fs::write(&certificate, Recipe::new("Anna").make().pem()).expect("written");
        let desktop = Desktop::on(&household.bus).await;
        let (daemon, _) = household.start().await;
        household.watch(&Set { count: 1, roots: vec![certificate] }).await;
        household.expect(1).await;
        Self { household, desktop, _daemon: daemon }
    }

    async fn icon(&self) -> (Running, Duration) {
        let mut command = Command::new(self.household.programs.join("obnova-tray"));
        command.env("DBUS_SESSION_BUS_ADDRESS", self.household.bus.address()).env("OBNOVA_LOG", "warn");
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        self.desktop.icon(&mut command).await
    }

    async fn report(&self, runs: usize, table: &mut Table) {
        let mut times = Vec::new();
        for _ in 0..runs {
            let (tray, time) = self.icon().await;
            times.push(time.as_secs_f64());
            tray.stop().await;
        }
        table.head("tray");
        table.add(Row::new("start to icon", "s", times).limit(Some(0.1)));
    }
}

/// Everything at once: who sleeps disturbs nobody.
async fn asleep(programs: &Path, set: &Set, tray: Tray, peer: Option<&Certmonger>, table: &mut Table) {
    let household = Household::new(programs).await;
    let (daemon, _) = household.start().await;
    household.watch(set).await;
    household.expect(set.count).await;
    let (icon, _) = tray.icon().await;
    let peer = match peer {
        Some(peer) => Some(peer.start().await.0),
        None => None,
    };
    let everyone: Vec<&Running> = [&daemon, &icon].into_iter().chain(peer.as_ref()).collect();
    tokio::time::sleep(SETTLING).await;
    let slept = idle_for(&everyone, ASLEEP).await;
    table.add(Row::new("PSS", "MB", icon.megabytes().into_iter().collect()).limit(Some(6.0)));
    table.head("asleep for a minute, with a directory of 1,000 watched");
    let disturbances = |position: usize| slept.get(position).map(|slept| vec![slept.switches]).unwrap_or_default();
    table.add(Row::new("daemon: context switches", "", disturbances(0)).limit(Some(0.0)).peer(disturbances(2)));
    table.add(Row::new("daemon: new threads", "", vec![slept[0].new_threads]).limit(Some(0.0)));
    table.add(Row::new("tray: context switches", "", disturbances(1)).limit(Some(0.0)));
    table.add(Row::new("tray: new threads", "", vec![slept[1].new_threads]).limit(Some(0.0)));
    table.add(Row::new("daemon: PSS then", "MB", daemon.megabytes().into_iter().collect()));
}
