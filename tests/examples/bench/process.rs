//! Programs from outside: how long they take, what they occupy, whether they sleep.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use obnova_tests::{PATIENCE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use zbus::Connection;
use zbus::fdo::DBusProxy;

/// How long nothing must have happened for a program to be calm.
const CALM: Duration = Duration::from_millis(400);

/// A program that has taken its name.
pub(crate) struct Running {
    /// `None`: another program has started it, and ends it.
    child: Option<Child>,
    pid: u32,
}

/// How a program slept.
pub(crate) struct Slept {
    /// Context switches of all threads together, voluntary or not.
    pub(crate) switches: f64,
    /// Threads that were not there before.
    pub(crate) new_threads: f64,
}

impl Running {
    /// Starts a program; how long it took until it had its name on the bus.
    pub(crate) async fn start(command: &mut Command, connection: &Connection, name: &'static str) -> (Self, Duration) {
        let bus = DBusProxy::new(connection).await.expect("a bus");
        let mut changes = bus.receive_name_owner_changed_with_args(&[(0, name)]).await.expect("signals");
        let begun = Instant::now();
        let running = Self::begin(command);
        let taken = async {
            while let Some(change) = changes.next().await {
                if change.args().expect("arguments").new_owner().is_some() {
                    return;
                }
            }
        };
        timeout(PATIENCE, taken).await.unwrap_or_else(|_| panic!("{name} did not appear"));
        (running, begun.elapsed())
    }

    /// Starts a program.
    pub(crate) fn begin(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = child.id().expect("it runs");
        Self { child: Some(child), pid }
    }

    /// Ends it as a service manager does.
    pub(crate) async fn stop(mut self) {
        let pid = Pid::from_raw(self.pid.cast_signed()).expect("a process");
        kill_process(pid, Signal::TERM).expect("it runs");
        let ended = timeout(PATIENCE, self.child.as_mut().expect("it is ours").wait()).await.expect("it ends");
        ended.expect("it was ours");
    }

    /// The one program of this name that it has started.
    pub(crate) fn companion(&self, name: &str) -> Self {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).expect("it runs");
        let named = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == &name[..name.len().min(15)])
        };
        let mut found = children.split_whitespace().map(|pid| pid.parse().expect("a number")).filter(named);
        Self { child: None, pid: found.next().expect("it has started one") }
    }

    /// Proportional set size, in 1,000,000 bytes; `None` unless root asks, for processes that hold secrets are nobody else's
    /// business.
    pub(crate) fn megabytes(&self) -> Option<f64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line");
        let kibibytes: u32 = line.trim_end_matches("kB").trim().parse().expect("a number");
        Some(f64::from(kibibytes) * 1024.0 / 1_000_000.0)
    }

    /// Waits until it does nothing any more.
    pub(crate) async fn calm(&self) {
        let mut before = self.switches();
        let mut since = Instant::now();
        eventually("calm", async || {
            let now = self.switches();
            if now != before {
                before = now;
                since = Instant::now();
            }
            (since.elapsed() >= CALM).then_some(())
        })
        .await;
    }

    /// Context switches by thread.
    fn switches(&self) -> BTreeMap<u64, u64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("it runs");
        let of = |thread: std::io::Result<fs::DirEntry>| {
            let thread = thread.ok()?;
            // A thread may end meanwhile.
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            let switches = counts.map(|(_, count)| count.trim().parse::<u64>().expect("a number")).sum();
            Some((thread.file_name().to_str()?.parse().ok()?, switches))
        };
        threads.filter_map(of).collect()
    }
}

/// How everyone slept for so long.
pub(crate) async fn idle_for(everyone: &[&Running], time: Duration) -> Vec<Slept> {
    let before: Vec<_> = everyone.iter().map(|running| running.switches()).collect();
    sleep(time).await;
    let slept = |(running, before): (&&Running, &BTreeMap<u64, u64>)| {
        let after = running.switches();
        let new = after.keys().filter(|thread| !before.contains_key(thread)).count();
        let switches: u64 = after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0)).sum();
        Slept { switches: number(switches), new_threads: number(new as u64) }
    };
    everyone.iter().zip(&before).map(slept).collect()
}

/// How long a command takes, its output going nowhere.
pub(crate) async fn timed(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let output = child.expect("it starts").wait_with_output().await.expect("it ends");
    let took = begun.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
