//! Days, sleeps and years: who is told what, and when, by a daemon whose clock the test moves.

use std::path::Path;

use chrono::{DateTime, Duration, FixedOffset, SecondsFormat, Utc};
use obnova_api::Options;
use obnova_core::{World, programme};
use obnova_tests::{Recipe, eventually};
use obnovad::clock::Clock;
use obnovad::engine::Loaded;
use obnovad::journal::Journal;
use obnovad::stores::{Sighting, Stamp};
use tempfile::TempDir;

use crate::inside::{Inside, SECRET, clock, pem};

#[tokio::test]
async fn twenty_days_are_told_once_and_not_again_after_a_restart() {
    let scratch = TempDir::new().expect("a directory");
    let (clock, state) = (clock(), scratch.path().join("state"));
    let (_, place) = pem(scratch.path(), "Anna", 20);
    let daemon = Inside::start(&state, &clock).await;
    daemon.watch(&place).await;
    assert_eq!(daemon.noticed(1).await, ["three-weeks"]);
    let item = daemon.identity().await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("expiring", "warning"));
    daemon.stop().await;

    let daemon = Inside::start(&state, &clock).await;
    daemon.settle().await;
    daemon.pass(Duration::days(1)).await;
    assert_eq!(daemon.announced().await, ["three-weeks"]);
    assert_eq!(daemon.identity().await.id, item.id, "ids survive a restart");
    daemon.pass(Duration::days(13)).await;
    assert_eq!(daemon.announced().await, ["three-weeks", "one-week"]);
    assert_eq!(daemon.noticed(1).await, ["one-week"], "this daemon said nothing else");
    daemon.stop().await;
}

#[tokio::test]
async fn after_a_month_of_sleep_only_the_most_urgent_is_told() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let (_, place) = pem(scratch.path(), "Anna", 36);
    daemon.watch(&place).await;
    daemon.settle().await;
    assert!(daemon.announced().await.is_empty());
    assert_eq!(daemon.identity().await.state, "valid");

    daemon.pass(Duration::days(30)).await;
    assert_eq!(daemon.noticed(1).await, ["one-week"]);
    daemon.pass(Duration::days(30)).await;
    assert_eq!(daemon.noticed(2).await, ["one-week", "expired"]);
    assert_eq!(daemon.announced().await, ["one-week", "expired"]);
    assert_eq!(daemon.identity().await.state, "expired");
    daemon.stop().await;
}

#[tokio::test]
async fn a_clock_that_goes_forth_and_back_doubles_nothing() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let (_, place) = pem(scratch.path(), "Anna", 7);
    daemon.watch(&place).await;
    assert_eq!(daemon.noticed(1).await, ["three-weeks"]);

    daemon.pass(Duration::days(8)).await;
    assert_eq!(daemon.noticed(2).await, ["three-weeks", "expired"]);
    let item = daemon.identity().await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("expired", "critical"));
    let told = daemon.signals("Changed").len();
    daemon.pass(-Duration::days(8)).await;
    let item = daemon.identity().await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("expiring", "warning"));
    eventually("a signal that it looks otherwise", async || (daemon.signals("Changed").len() > told).then_some(())).await;
    daemon.pass(Duration::days(8)).await;
    assert_eq!(daemon.identity().await.state, "expired");
    assert_eq!(daemon.announced().await, ["three-weeks", "expired"]);
    assert_eq!(daemon.noticed(2).await, ["three-weeks", "expired"]);
    daemon.stop().await;
}

#[tokio::test]
async fn later_means_later() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    daemon.noticed(1).await;
    let id = daemon.identity().await.id;

    let until = daemon.now().to_utc() + Duration::days(3);
    let options = Options { until: Some(until.to_rfc3339_opts(SecondsFormat::Secs, true)), to: None };
    daemon.manager.act(&id, "snooze", &options).await.expect("snoozed");
    daemon.pass(Duration::days(2)).await;
    assert_eq!(daemon.announced().await, ["three-weeks"]);
    let status = daemon.manager.status().await.expect("a status");
    let next = DateTime::parse_from_rfc3339(&status.next_wake.expect("a moment")).expect("RFC 3339");
    assert!((next.to_utc() - until).abs() < Duration::seconds(2), "it sleeps until {until}, not until {next}");
    daemon.pass(Duration::days(1)).await;
    assert_eq!(daemon.announced().await, ["three-weeks", "three-weeks"], "the same warning comes back");
    daemon.pass(Duration::days(1)).await;
    assert_eq!(daemon.announced().await.len(), 2, "once");
    daemon.stop().await;
}

#[tokio::test]
async fn a_warning_that_nobody_saw_returns_the_next_day_between_eight_and_eighteen() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let agent = daemon.willing_agent(true).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    daemon.noticed(1).await;
    let count = async || {
        agent.register(true).await;
        daemon.settle().await;
        daemon.announced().await.len()
    };
    assert_eq!(count().await, 1, "it was shown today");
    daemon.until_hour(22).await;
    assert_eq!(count().await, 1, "still today");
    daemon.until_hour(7).await;
    assert_eq!(count().await, 1, "too early");
    daemon.until_hour(9).await;
    assert_eq!(daemon.announced().await.len(), 1, "nobody has come");
    assert_eq!(count().await, 2, "the next day, by day");
    assert_eq!(count().await, 2, "once a day");
    daemon.until_hour(19).await;
    daemon.until_hour(20).await;
    assert_eq!(count().await, 2, "too late");
    daemon.until_hour(8).await;
    assert_eq!(count().await, 3);
    assert_eq!(daemon.noticed(3).await, ["three-weeks"; 3]);

    daemon.act(&daemon.identity().await.id, "seen").await;
    daemon.until_hour(12).await;
    daemon.until_hour(11).await;
    assert_eq!(count().await, 3, "it was seen");
    daemon.stop().await;
}

#[tokio::test]
async fn a_warning_that_was_never_shown_waits_for_nothing_but_somebody() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    daemon.noticed(1).await;
    daemon.until_hour(23).await;
    let agent = daemon.willing_agent(false).await;
    daemon.settle().await;
    assert_eq!(daemon.announced().await.len(), 1, "a terminal shows no notices");
    agent.register(true).await;
    assert_eq!(daemon.noticed(2).await, ["three-weeks"; 2]);
    agent.register(true).await;
    daemon.settle().await;
    assert_eq!(daemon.announced().await.len(), 2, "now it has been shown");
    daemon.stop().await;
}

#[tokio::test]
async fn a_renewal_under_way_silences_its_warnings() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = Inside::start(&scratch.path().join("state"), &clock).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    daemon.noticed(1).await;
    let id = daemon.identity().await.id;
    daemon.act(&id, "renew").await;
    daemon.renewal("waiting").await;
    daemon.pass(Duration::days(18)).await;
    daemon.pass(Duration::days(1)).await;
    assert_eq!(daemon.announced().await, ["three-weeks"], "nobody is warned of what is under way");
    daemon.act(&id, "cancel").await;
    daemon.settle().await;
    assert_eq!(daemon.announced().await, ["three-weeks", "two-days"], "given up, it warns of what has passed meanwhile");
    daemon.stop().await;
}

/// The machine wakes up, and before the daemon has looked at the clock somebody asks it for something.
#[tokio::test]
async fn a_request_at_the_moment_of_waking_costs_no_warning() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let (journal, contents) = Journal::open(scratch.path()).expect("a new journal");
    let world = World::new(programme::built_in().expect("right programmes"));
    let (publish, _published) = tokio::sync::mpsc::unbounded_channel();
    let loaded =
        Loaded::replay(world, journal, contents, std::sync::Arc::new(clock.clone()), publish, std::sync::Arc::default());
    let engine = loaded.expect("replayed").start();
    let made = Recipe::new("Anna").days_left(30).make();
    let place = obnova_core::Place::parse("file:/anna.pem").expect("a place");
    let certificate = obnova_core::Certificate::from_der(&made.der()).expect("a certificate");
    let found = obnova_core::world::Found { certificate: std::sync::Arc::new(certificate), key: true };
    let sight = obnova_core::world::Sight { condition: obnova_core::world::Condition::Readable, certificates: vec![found] };
    let watched = place.clone();
    engine.write(|_, _| Ok(vec![obnova_core::Record::Watched { place: watched }])).await.expect("watched");
    engine.see(vec![Sighting { place, stamp: Stamp(1), sight: Some(sight), der: vec![made.der()] }]).await.expect("seen");

    // The request is in the engine's hands before the clock moves, and the engine looks at both at once.
    let (asked, ()) = tokio::join!(engine.read(|_| ()), async { clock.move_by(Duration::days(10)) });
    asked.expect("an answer");
    let announced = async || {
        let entries = engine.journal().read(obnovad::journal::Query { limit: 100, ..Default::default() }).await.expect("read");
        let told = |entry: &obnova_core::Entry| matches!(entry.record, obnova_core::Record::Announced { .. });
        engine.read(|_| ()).await.expect("an answer");
        entries.iter().any(told).then_some(())
    };
    eventually("the warning", announced).await;
}

/// Ten years of one certificate, in strides of random length and with a restart now and then, against the rule said in the
/// plainest way.
#[tokio::test]
async fn ten_years_in_a_moment() {
    let scratch = TempDir::new().expect("a directory");
    let (clock, state_dir) = (clock(), scratch.path().join("state"));
    let made = Recipe::new("Anna").begun_days_ago(300).days_left(65).make();
    let file = scratch.path().join("anna.p12");
    made.write_p12(&file, SECRET, &[]);
    let before = std::fs::read(&file).expect("the file");
    let mut daemon = Inside::start(&state_dir, &clock).await;
    let agent = daemon.willing_agent(false).await;
    daemon.watch(&format!("p12:{}", file.display())).await;
    let mut agents = vec![agent];
    let mut dice = Dice(2026);
    let mut expected: Vec<&'static str> = Vec::new();
    let born = clock.now();
    for year in 0..10 {
        let item = daemon.identity().await;
        let end = DateTime::parse_from_rfc3339(item.not_after.as_deref().expect("an end")).expect("RFC 3339").to_utc();
        let patience = dice.below(THRESHOLDS.len() as u64 + 1);
        let mut told = 0;
        // One year the person renews before anything is said, another only after the certificate has ended.
        while told < patience || patience == 0 {
            daemon.pass(Duration::hours(1 + dice.below(24 * if told == 0 { 30 } else { 2 }).cast_signed())).await;
            let passed = passed(end, clock.now());
            if passed > told {
                expected.push(THRESHOLDS[usize::try_from(passed).expect("small") - 1]);
                told = passed;
            }
            assert_eq!(daemon.announced().await, expected, "year {year}, {} before the end", end - clock.now().to_utc());
            let warned = daemon.identity().await;
            let state = ["valid", "expiring", "expired"][usize::from(told > 0) + usize::from(told == THRESHOLDS.len() as u64)];
            assert_eq!(warned.state, state, "year {year}");
            if dice.below(8) == 0 {
                daemon.stop().await;
                daemon = Inside::start(&state_dir, &clock).await;
                agents.push(daemon.willing_agent(false).await);
            }
            if patience == 0 && end - clock.now().to_utc() < Duration::days(60) {
                break;
            }
        }
        daemon.act(&item.id, "renew").await;
        eventually("the successor", async || {
            let now = daemon.identity().await;
            let later = now.not_after.is_some_and(|not_after| {
                DateTime::parse_from_rfc3339(&not_after).expect("RFC 3339").to_utc() > end.max(clock.now().to_utc())
            });
            (later && now.job.is_none() && now.state == "valid").then_some(())
        })
        .await;
    }
    assert!(clock.now() - born > Duration::days(8 * 365), "{}", clock.now());
    daemon.settle().await;
    assert_eq!(daemon.announced().await, expected);
    let made = |extension: &str| count(scratch.path(), extension);
    assert_eq!((made("p12"), made("crt")), (11, 10), "one pair a year beside the first file");
    assert_eq!(std::fs::read(&file).expect("the file"), before, "the first file is as it was");
    // Every question but consent and secret would have found nobody; each renewal asked once for each.
    let secrets: usize = agents.iter().map(obnova_tests::Agent::secrets_asked).sum();
    assert_eq!(secrets, 11, "once to watch, once for each renewal");
    daemon.stop().await;
}

/// The thresholds of a life of a year, the mildest first.
const THRESHOLDS: [&str; 7] = ["three-weeks", "one-week", "three-days", "two-days", "one-day", "today", "expired"];

/// How many of the thresholds have passed, said in the plainest way.
fn passed(end: DateTime<Utc>, now: DateTime<FixedOffset>) -> u64 {
    let left = end - now.to_utc();
    let last_day = end.with_timezone(now.offset()).date_naive();
    if left < Duration::zero() {
        7
    } else if now.date_naive() == last_day {
        6
    } else {
        [1, 2, 3, 7, 21].iter().filter(|days| left <= Duration::days(**days)).count() as u64
    }
}

fn count(directory: &Path, extension: &str) -> usize {
    let entries = std::fs::read_dir(directory).expect("a readable directory");
    entries.filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|found| found == extension)).count()
}

/// Repeatable chance (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
