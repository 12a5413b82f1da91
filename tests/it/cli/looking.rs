//! `status`, `list`, `show`, `renewals`, `log`, the help: what a person and a script read.

use std::io::{self, Write};
use std::sync::Arc;

use obnova::{Cli, Ending, Surroundings};
use obnova_api::StatusView;
use tokio::sync::Notify;

use super::daemon::{Daemon, anna, locked, mail, problem, record, renewal, retired};
use super::{run, text};

/// Snapshots of what these command lines write over a world with something of everything.
macro_rules! shown {
    ($($test:ident: $line:expr;)+) => {$(
        #[tokio::test]
        async fn $test() {
            let (_daemon, connection) = everything().await;
            insta::assert_snapshot!(run(&connection, $line).await.shown());
        }
    )+};
}

shown! {
    status: "status";
    status_is_what_no_verb_means: "";
    status_as_json: "status --json";
    list: "list";
    list_of_all: "list --all";
    list_as_json: "list --json";
    show_a_certificate: "show 'anna n'";
    show_a_locked_file: "show 'old key.p12'";
    show_by_id_as_json: "show --json b2b2b2b2b2b2b2b2";
    show_by_the_beginning_of_an_id: "show c3c3";
    renewals: "renewals";
    renewals_as_json: "renewals --json";
    log: "log";
    log_of_the_newest: "log -n 2";
    log_since_a_day: "log --since 2026-10-06T00:00:00Z";
    log_as_json: "log --json -n 1";
    no_such_thing: "show berta";
    ambiguous: "show --json ''";
    not_a_time: "log --since soon";
}

#[tokio::test]
async fn all_is_well() {
    let (_daemon, connection) = Daemon::with(vec![mail()]).await;
    insta::assert_snapshot!(run(&connection, "status").await.shown());
}

#[tokio::test]
async fn nothing_is_watched_yet() {
    let (daemon, connection) = Daemon::with(vec![]).await;
    daemon.state().status = StatusView { scope: "user".into(), ..StatusView::default() };
    let mut shown = Vec::new();
    for line in ["status", "list", "list --json", "renewals", "log --since 2030-01-01"] {
        shown.push(format!("$ obnova {line}\n{}", run(&connection, line).await.shown()));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test]
async fn status_needs_a_person_only_where_one_can_do_something() {
    for (who, what, ending) in [
        ("you", "renew", Ending::NeedsPerson),
        ("administrator", "repair", Ending::NeedsPerson),
        ("authority", "ask-authority", Ending::NeedsPerson),
        ("authority", "wait", Ending::Done),
        ("obnova", "wait", Ending::Done),
    ] {
        let mut item = anna();
        let next = item.next_step.as_mut().expect("a next step");
        (next.who, next.what) = (who.into(), what.into());
        let (_daemon, connection) = Daemon::with(vec![item]).await;
        assert_eq!(run(&connection, "status").await.ending, ending, "{who} {what}");
    }
}

#[tokio::test]
async fn of_two_of_a_name_the_present_one_is_meant_and_of_two_present_ones_none() {
    let (daemon, connection) = Daemon::with(vec![anna(), retired()]).await;
    assert!(run(&connection, "show --json 'Anna Novak'").await.out.contains("a1a1a1a1a1a1a1a1"));
    daemon.state().items.push(obnova_api::ItemView { id: "f6f6f6f6f6f6f6f6".into(), ..anna() });
    insta::assert_snapshot!(run(&connection, "show 'Anna Novak'").await.shown());
}

#[tokio::test]
async fn a_log_that_is_followed_tells_what_is_added() {
    let (daemon, connection) = everything().await;
    let (begun, over) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut out = Until { written: vec![], signs: vec![("job-postponed", begun.clone()), ("job-resumed", over.clone())] };
    let mut err = Vec::new();
    let surroundings = Surroundings {
        out: &mut out,
        interrupted: Box::pin(async move { over.notified().await }),
        ..silent(&mut err, connection)
    };
    let cli = Cli::read(super::words("log -f -n 1 --json"), &text()).expect("a command line");
    let adding = async {
        begun.notified().await;
        daemon.writes(record(9, "seen", &[("name", "Anna Novak")])).await;
        daemon.writes(record(10, "job-resumed", &[("job", "7")])).await;
    };
    let (ending, ()) = tokio::join!(obnova::run(cli, surroundings), adding);
    assert_eq!(ending, Ending::Done);
    let lines = String::from_utf8(out.written).expect("UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object per line"));
    let events: Vec<_> = lines.map(|line| line["event"].as_str().expect("an event").to_owned()).collect();
    assert_eq!(events, ["job-postponed", "seen", "job-resumed"]);
}

/// A writer that tells when it has been written something.
struct Until {
    written: Vec<u8>,
    signs: Vec<(&'static str, Arc<Notify>)>,
}

impl Write for Until {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(&self.written);
        self.signs.retain(|(word, notify)| {
            let seen = text.contains(word);
            if seen {
                notify.notify_one();
            }
            !seen
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_refused_says_why_and_what_to_do() {
    let (daemon, connection) = everything().await;
    daemon.state().refuses = Some(problem("already-renewing", &[("job", "7")]));
    insta::assert_snapshot!(run(&connection, "renew 'Anna Novak'").await.shown());
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_unreachable() {
    let (daemon, connection) = everything().await;
    daemon.dies().await;
    for line in ["status", "list --json", "watch /a.pem", "renew", "log"] {
        let outcome = run(&connection, line).await;
        assert_eq!(outcome.ending, Ending::Unreachable, "{line}");
        assert!(outcome.out.is_empty() && outcome.err.contains("\nhint: "), "{line}: {}", outcome.err);
    }
}

#[tokio::test]
async fn who_has_read_enough_is_no_failure() {
    let (_daemon, connection) = everything().await;
    let mut err = Vec::new();
    let cli = Cli::read(super::words("list"), &text()).expect("a command line");
    let surroundings = Surroundings { out: &mut Head, ..silent(&mut err, connection) };
    assert_eq!(obnova::run(cli, surroundings).await, Ending::Done);
    assert!(err.is_empty());
}

/// A pipe whose reader has gone.
struct Head;

impl Write for Head {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Surroundings with nobody to ask, whose data goes nowhere.
fn silent(err: &mut Vec<u8>, connection: zbus::Connection) -> Surroundings<'_> {
    Surroundings {
        out: Box::leak(Box::new(io::sink())),
        err,
        text: Arc::new(text()),
        now: super::now(),
        colour: false,
        terminal: None,
        connection: Some(connection),
        interrupted: Box::pin(std::future::pending()),
    }
}

#[tokio::test]
async fn the_state_is_coloured_where_somebody_looks() {
    let (_daemon, connection) = everything().await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::read(super::words("list"), &text()).expect("a command line");
    let surroundings = Surroundings { out: &mut out, colour: true, ..silent(&mut err, connection.clone()) };
    assert_eq!(obnova::run(cli, surroundings).await, Ending::Done);
    let coloured = String::from_utf8(out).expect("UTF-8");
    assert!(coloured.contains("\u{1b}[33mends soon\u{1b}[0m ") && coloured.contains("\u{1b}[32mvalid\u{1b}[0m "), "{coloured}");
    let plain = ["\u{1b}[33m", "\u{1b}[32m", "\u{1b}[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(plain, run(&connection, "list").await.out, "nothing else differs");
}

#[test]
fn help() {
    let mut command = Cli::explained(&text()).term_width(100);
    let mut pages = vec![command.render_help().to_string()];
    command.build();
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let name = verb.get_name().to_owned();
        pages.push(format!("$ obnova {name} --help\n{}", verb.render_help()));
        for below in verb.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
            pages.push(format!("$ obnova {name} {} --help\n{}", below.get_name().to_owned(), below.render_help()));
        }
    }
    insta::assert_snapshot!(pages.join("\n"));
}

async fn everything() -> (Daemon, zbus::Connection) {
    Daemon::with(vec![anna(), locked(), mail(), retired(), renewal()]).await
}
