//! Cards: how soon what lies on one is listed, whether the daemon sleeps beside one, and what of a renewal's time is its own.
//! The card is the one in software that moves keys; its time and the authority's are told apart, and are not judged.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use futures_util::StreamExt as _;
use obnova_api::{ItemView, ManagerProxy, Options};
use obnova_tests::card::wire::{Algorithm, PinPolicy};
use obnova_tests::card::{CardKind, CardReader, VirtualCard, Wire};
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{Agent, PATIENCE, eventually, program};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::process::{Running, idle_for};
use super::shares::{self, Shares, WHOSE};
use super::table::{Row, Table, median, say};
use super::{ASLEEP, Household, SETTLING};

/// How often a card is inserted for the first time, and renewed.
const RUNS: usize = 5;

const KIND: CardKind = CardKind::Moves;
const PIN: &str = "123456";

/// Twins on a card, a daemon beside the reader, and who listens.
struct Sitting {
    household: Household,
    daemon: Running,
    manager: ManagerProxy<'static>,
}

impl Sitting {
    /// A daemon that has seen no card yet.
    async fn begin(programs: &Path, reader: &CardReader) -> Self {
        let household = Household::new(programs).await;
        let configuration = household.scratch.path().join("obnova/programmes.d");
        fs::create_dir_all(&configuration).expect("a directory");
        let programme = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/programmes/card-twins.toml");
        fs::copy(programme, configuration.join("card-twins.toml")).expect("the programme");
        let mut command = household.obnovad();
        command.env("OBNOVA_LOG", "warn,obnovad::shares=debug").env("HOME", household.scratch.path());
        let log = fs::File::create(household.scratch.path().join("log")).expect("a file");
        let mut command = reader.confine(&command);
        command.stderr(log);
        let (daemon, _) = Running::start(&mut command, &household.connection, "org.obnova.Daemon1").await;
        daemon.calm().await;
        let manager = ManagerProxy::new(&household.connection).await.expect("a proxy");
        Self { household, daemon, manager }
    }

    async fn items(&self) -> Vec<ItemView> {
        let filter = [("all".to_owned(), true.into())].into_iter().collect();
        self.manager.items(filter, "", 100).await.expect("items").0
    }

    /// Waits until an item fits, looking whenever one has changed.
    async fn item(&self, what: &str, fits: impl Fn(&ItemView) -> bool) -> ItemView {
        let mut changes = self.manager.receive_changed().await.expect("signals");
        let waiting = async {
            loop {
                if let Some(item) = self.items().await.into_iter().find(&fits) {
                    return item;
                }
                changes.next().await.expect("the daemon runs");
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"))
    }

    /// Waits until both certificates are listed.
    async fn pair(&self) -> ItemView {
        let both = |item: &ItemView| item.certificates.as_ref().is_some_and(|certificates| certificates.len() == 2);
        self.item("the pair", |item| item.kind == "identity" && both(item)).await
    }

    /// Inserts a card; it, and how long it took from then on, and from the service's event on, until both certificates were
    /// listed.
    async fn insert(&self, reader: &CardReader, state: &Path) -> (VirtualCard, [f64; 2]) {
        let mut witness = Witness::at(reader).await;
        let begun = Instant::now();
        let listed = async {
            self.pair().await;
            Instant::now()
        };
        let (card, event, listed) = tokio::join!(reader.insert(KIND, state), witness.inserted(), listed);
        (card, [listed.duration_since(begun).as_secs_f64(), listed.saturating_duration_since(event).as_secs_f64()])
    }

    /// Renews the pair, the person answering at once: microseconds by step, in the order of [`WHOSE`].
    async fn renew(&self) -> Shares {
        let agent = Agent::with_secret(&self.household.bus, PIN).await;
        agent.register(false).await;
        let pair = self.pair().await;
        agent.manager().await.act(&pair.id, "renew", &Options::default()).await.expect("begun");
        let ended = |item: &ItemView| item.kind == "renewal" && (item.state == "done" || item.problem.is_some());
        let renewal = self.item("the renewal's end", ended).await;
        assert_eq!(renewal.state, "done", "{renewal:?}");
        eventually("the last share", async || self.shares().last().is_some_and(|(step, _)| step == "end").then_some(())).await;
        agent.leave().await;
        self.shares()
    }

    /// What the daemon has said so far of whose time a renewal took.
    fn shares(&self) -> Shares {
        shares::read(&self.household.scratch.path().join("log"))
    }
}

/// A process of its own that waits for the same event as the daemon.
struct Witness {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
    _input: ChildStdin,
}

impl Witness {
    async fn at(reader: &CardReader) -> Self {
        let mut command = reader.command(program("card-line"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it runs");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let input = process.stdin.take().expect("a pipe");
        let mut witness = Self { lines, _process: process, _input: input };
        witness.event("came").await;
        witness
    }

    async fn inserted(&mut self) -> Instant {
        self.event("inserted").await;
        Instant::now()
    }

    async fn event(&mut self, name: &str) {
        let told = async {
            while let Some(line) = self.lines.next_line().await.expect("read") {
                let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                if line["event"] == name {
                    return;
                }
            }
            panic!("it has ended");
        };
        timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("never came: {name}"));
    }
}

/// Twins on a card that nobody has inserted yet: a commercial pair on RSA-2048, a qualified one on P-256.
async fn twins(reader: &CardReader, name: &str) -> PathBuf {
    let state = reader.state(name);
    let authority = CardAuthority::new();
    let mut wire = Wire::open(KIND, &state).await;
    wire.administer().await;
    let commercial = wire.generate(0x9A, Algorithm::Rsa2048, PinPolicy::Usual).await;
    let qualified = wire.generate(0x9C, Algorithm::P256, PinPolicy::Always).await;
    for (slot, key, usage) in [(0x9A, &commercial, Use::Everyday), (0x9C, &qualified, Use::Binding)] {
        let certificate = authority.issue("Anna Novak", key, usage, 20).to_der().expect("DER");
        wire.write_certificate(slot, &certificate).await;
    }
    wire.close().await;
    state
}

pub(crate) async fn report(programs: &Path, table: &mut Table) {
    say("twins on a card");
    let reader = CardReader::start().await;
    let (mut since_inserting, mut since_event) = (Vec::new(), Vec::new());
    let mut renewals = Vec::new();
    for run in 0..RUNS {
        let state = twins(&reader, &format!("card-{run}")).await;
        let sitting = Sitting::begin(programs, &reader).await;
        let (mut card, [inserting, event]) = sitting.insert(&reader, &state).await;
        since_inserting.push(inserting);
        since_event.push(event);
        sitting.daemon.calm().await;
        renewals.push(sitting.renew().await);
        card.remove().await;
        sitting.daemon.stop().await;
    }
    table.head("twins on a card");
    table.add(Row::new("both listed after the service's event", "s", since_event).limit(Some(1.0)));
    table.add(Row::new("… after inserting, the service's noticing too", "s", since_inserting));
    of_renewals(&renewals, table);
    asleep(programs, &reader, table).await;
}

fn of_renewals(renewals: &[Shares], table: &mut Table) {
    let sums = |whose: usize| -> Vec<f64> {
        let sum = |steps: &Shares| steps.iter().map(|(_, shares)| shares[whose]).sum::<f64>() / 1e6;
        renewals.iter().map(sum).collect()
    };
    let names = ["a renewal, all", "at the card", "in obnova-helper", "at the authority", "asking the person"];
    for (whose, name) in names.into_iter().enumerate() {
        table.add(Row::new(name, "s", sums(whose)));
    }
    table.add(Row::new("the daemon's own share", "s", sums(5)).limit(Some(0.05)));
    table.add(Row::new("… a flush to the disk: each step takes two or more", "s", flushes()));
    let mut lines = format!("    {:<16}", "milliseconds");
    lines.extend(WHOSE.map(|whose| format!("{whose:>11}")));
    for (position, (step, _)) in renewals[0].iter().enumerate() {
        write!(lines, "\n    {step:<16}").expect("written");
        for whose in 0..WHOSE.len() {
            let mut samples: Vec<f64> = renewals.iter().map(|steps| steps[position].1[whose] / 1e3).collect();
            samples.sort_by(f64::total_cmp);
            write!(lines, "{:>11.1}", median(&samples).expect("a sample")).expect("written");
        }
    }
    table.note(&lines);
}

/// How long the disk takes to keep 4 kB, in seconds: the journal waits for that twice in each step.
fn flushes() -> Vec<f64> {
    let mut file = tempfile::tempfile().expect("a file");
    let mut flush = || {
        file.write_all(&[1; 4096]).expect("written");
        let begun = Instant::now();
        file.sync_data().expect("kept");
        begun.elapsed().as_secs_f64()
    };
    (0..35).map(|_| flush()).collect()
}

/// Nothing but a card that lies in its reader.
async fn asleep(programs: &Path, reader: &CardReader, table: &mut Table) {
    say("asleep with a card for 75 seconds");
    let state = twins(reader, "sleeper").await;
    let sitting = Sitting::begin(programs, reader).await;
    let without = sitting.daemon.megabytes();
    let (card, _) = sitting.insert(reader, &state).await;
    sitting.daemon.calm().await;
    let with = sitting.daemon.megabytes();
    tokio::time::sleep(SETTLING).await;
    let slept = idle_for(&[&sitting.daemon], ASLEEP).await;
    table.head("asleep for a minute, with a card inserted");
    table.add(Row::new("daemon: context switches", "", vec![slept[0].switches]).limit(Some(0.0)));
    table.add(Row::new("daemon: new threads", "", vec![slept[0].new_threads]).limit(Some(0.0)));
    table.add(Row::new("daemon: PSS without a card", "MB", without.into_iter().collect()));
    table.add(Row::new("daemon: PSS with it", "MB", with.into_iter().collect()));
    sitting.daemon.stop().await;
    drop(card);
}
