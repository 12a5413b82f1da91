//! Over a real bus: only the daemon may put questions to the agent in the terminal.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use obnova::Ending;
use zbus::connection::Builder;

use super::daemon::{Daemon, anna, password};
use super::run;

/// A private bus, gone with the test.
struct Bus {
    process: Child,
    address: String,
}

impl Bus {
    fn start() -> Self {
        let mut process = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon");
        let mut address = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut address).expect("its address");
        Self { process, address: address.trim().to_owned() }
    }

    async fn connect(&self) -> zbus::Connection {
        Builder::address(self.address.as_str()).expect("an address").build().await.expect("a connection")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.process.kill().expect("a bus to end");
        self.process.wait().expect("its end");
    }
}

#[tokio::test]
async fn a_stranger_gets_no_answer_and_the_daemon_does() {
    let bus = Bus::start();
    let daemon = Daemon::on(bus.connect().await, vec![anna()]).await;
    let client = bus.connect().await;
    let own_name = client.unique_name().expect("a name").to_string();
    let (stranger, name) = (bus.connect().await, own_name.clone());
    daemon.plays(move |run| {
        let (stranger, name) = (stranger.clone(), name.clone());
        async move {
            let (reading, writing) = obnova_secret::pipe().expect("a pipe");
            let theirs = zbus::zvariant::OwnedFd::from(writing);
            let body = (password("/home/anna/anna.p12"), &theirs);
            let interface = Some("org.obnova.Agent1");
            let asked = stranger.call_method(Some(name.as_str()), obnova_api::AGENT_PATH, interface, "Secret", &body);
            run.notes(asked.await.expect_err("no answer").to_string());
            drop((theirs, reading));
            let withdrawn = stranger.call_method(Some(name.as_str()), obnova_api::AGENT_PATH, interface, "Withdraw", &"q1");
            run.notes(withdrawn.await.expect_err("no say").to_string());
            run.notes(run.asks_at(&name, password("/home/anna/anna.p12")).await.expect("an answer"));
            run.ends("done", "/home/anna/new.p12").await;
        }
    });
    let answers = super::renewing::answers("password=geheim\n");
    let number = std::os::fd::AsRawFd::as_raw_fd(&answers);
    let outcome = run(&client, &format!("renew --wait --secret-fd {number}")).await;
    assert_eq!(outcome.ending, Ending::Done, "{}", outcome.err);
    let calls = daemon.state().calls.clone();
    assert!(calls[2].contains("NotAuthorized") && calls[3].contains("NotAuthorized"), "{calls:?}");
    assert_eq!(calls[4], "geheim");
}

#[tokio::test]
async fn a_bus_without_a_daemon_is_unreachable() {
    let bus = Bus::start();
    let outcome = run(&bus.connect().await, "status").await;
    assert_eq!(outcome.ending, Ending::Unreachable);
    insta::assert_snapshot!(outcome.err);
}

#[tokio::test]
async fn a_daemon_that_leaves_the_bus_ends_the_wait() {
    let bus = Bus::start();
    let daemon = Daemon::on(bus.connect().await, vec![anna()]).await;
    let dying = daemon.clone();
    daemon.plays(move |_| {
        let dying = dying.clone();
        async move { dying.dies().await }
    });
    assert_eq!(run(&bus.connect().await, "renew --wait").await.ending, Ending::Unreachable);
}
