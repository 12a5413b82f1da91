//! A password in the daemon's memory: while it is needed in one locked page that no dump holds, afterwards nowhere. Needs root, who
//! alone may look, and gdb.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use obnova_api::Options;
use obnova_tests::{Agent, KeyKind, Recipe, Scene, eventually};
use rustix::process::{Pid, Signal, kill_process};

const PASSWORD: &str = "Zlatý-důl-4242-nikde";

/// Where bytes were found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// In pages that are locked and stay out of dumps.
    protected: usize,
    /// The mappings of all others.
    open: Vec<String>,
}

/// Looks through the memory of a process. It may go on meanwhile: a mapping that has gone is passed over.
fn look(pid: u32, bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let memory = File::open(format!("/proc/{pid}/mem")).expect("root may look");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("mappings");
    let mut mapping = "";
    for line in maps.lines() {
        let Some(flags) = line.strip_prefix("VmFlags:") else {
            if line.split_once('-').is_some_and(|(start, _)| u64::from_str_radix(start, 16).is_ok()) {
                mapping = line;
            }
            continue;
        };
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let (range, _) = mapping.split_once(' ').expect("a range");
        let (start, end) = range.split_once('-').expect("a range");
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).expect("an address"));
        let mut content = vec![0; usize::try_from(end - start).expect("small")];
        if !flags.contains(&"rd") || memory.read_exact_at(&mut content, start).is_err() {
            continue;
        }
        let count = content.windows(bytes.len()).filter(|window| *window == bytes).count();
        if flags.contains(&"dd") && flags.contains(&"lo") {
            found.protected += count;
        } else if count > 0 {
            found.open.push(mapping.to_owned());
        }
    }
    found
}

/// A process that this one has started.
fn child_of(pid: u32) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().find_map(|child| child.parse().ok()).and_then(Pid::from_raw)
}

#[tokio::test]
async fn a_password_is_in_one_locked_page_and_then_nowhere() {
    let scene = Scene::set().await;
    // Making such a key takes a while, in which the password waits to be used.
    let made = Recipe::new("Anna").key(KeyKind::Rsa(4096)).days_left(20).make();
    made.write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let mut daemon = scene.start().await;
    let agent = Agent::with_secret(&scene.bus, PASSWORD).await;
    agent.register(false).await;
    let manager = agent.manager().await;
    let place = format!("p12:{}", scene.file("anna.p12").display());
    manager.watch(&place, &Options::default()).await.expect("watched");
    let item = scene.item("the certificate", |item| item.kind == "identity").await;
    assert_eq!(look(daemon.pid(), PASSWORD.as_bytes()), Found::default(), "after watching");
    assert!(!look(daemon.pid(), b"journal.sqlite").open.is_empty(), "what is there is found");

    manager.act(&item.id, "renew", &Options::default()).await.expect("begun");
    // A helper that stands still keeps the daemon waiting, with the password at hand, however long the looking takes.
    let helper = eventually("a helper at work with the password", async || {
        // Stopped before anything is looked at: looking takes longer than many a helper.
        let helper = child_of(daemon.pid()).filter(|helper| kill_process(*helper, Signal::STOP).is_ok())?;
        let found = look(daemon.pid(), PASSWORD.as_bytes());
        assert!(found.open.is_empty(), "{found:?}");
        if found.protected > 0 {
            return Some(helper);
        }
        // It had nothing to do with the password, or has ended meanwhile.
        kill_process(helper, Signal::CONT).ok()?;
        None
    })
    .await;
    let during = look(daemon.pid(), PASSWORD.as_bytes());
    assert_eq!(during, Found { protected: 1, open: vec![] }, "one copy");

    // What a debugger of root's writes down has all the rest, and not that page.
    let dump = scene.home().join("dump");
    let status = Command::new("gcore")
        .args(["-o", dump.to_str().expect("UTF-8"), &daemon.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("gcore is installed (Debian package gdb)");
    assert!(status.success(), "gcore: {status}");
    let still = look(daemon.pid(), PASSWORD.as_bytes());
    assert_eq!(still, during, "it was in use all the time");
    let dump = std::fs::read(format!("{}.{}", dump.display(), daemon.pid())).expect("a dump");
    let counts = |bytes: &[u8]| dump.windows(bytes.len()).filter(|window| *window == bytes).count();
    assert!(counts(b"journal.sqlite") > 0, "the dump holds the daemon's memory");
    assert_eq!(counts(PASSWORD.as_bytes()), 0, "the dump holds the password");

    kill_process(helper, Signal::CONT).expect("it goes on");
    scene.item("the renewal's end", |item| item.kind == "renewal" && item.state == "done").await;
    eventually("the password wiped", async || (look(daemon.pid(), PASSWORD.as_bytes()) == Found::default()).then_some(()))
        .await;

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("limits");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    daemon.signal(Signal::ABORT);
    let status = daemon.ended().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

/// Another process of the same user may look at neither memory nor environment; at those of a process that is not hardened it may.
#[tokio::test]
async fn a_process_of_the_same_user_may_not_look() {
    let nobody = 65_534;
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let mut places = BTreeMap::new();
    for name in ["state", "run"] {
        std::fs::create_dir(path(name)).expect("a directory");
        std::os::unix::fs::chown(path(name), Some(nobody), Some(nobody)).expect("given away");
        places.insert(name, path(name));
    }
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("opened");
    let programs: Vec<_> = ["obnovad", "obnova-helper", "obnova-courier"]
        .into_iter()
        .map(|name| {
            // Where they were built nobody else may enter.
            std::fs::copy(obnova_tests::program(name), path(name)).expect("copied");
            path(name)
        })
        .collect();
    let as_nobody = |program: &std::ffi::OsStr| {
        let mut command = tokio::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", &places["run"]).stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    let bus = format!("unix:path={}/bus", places["run"].display());
    let mut command = as_nobody("dbus-daemon".as_ref());
    command.args(["--session", "--nofork", "--nopidfile", "--address", &bus]).stderr(Stdio::null());
    let _bus = command.spawn().expect("dbus-daemon is installed");
    let socket = places["run"].join("bus");
    eventually("a bus", async || socket.exists().then_some(())).await;
    let mut command = as_nobody(programs[0].as_os_str());
    command.arg("--state-dir").arg(&places["state"]).args(["--bus", &bus]);
    let daemon = obnova_tests::Daemon::spawn(command);
    eventually("a daemon that is ready", async || daemon.log().contains("ready").then_some(())).await;
    let mut command = as_nobody("sleep".as_ref());
    let other = command.arg("60").spawn().expect("sleep");
    let other = other.id().expect("it runs");
    eventually("another program", async || {
        std::fs::read_to_string(format!("/proc/{other}/comm")).is_ok_and(|name| name.trim() == "sleep").then_some(())
    })
    .await;
    for file in ["environ", "mem", "maps"] {
        let reads = async |pid: u32| {
            let mut command = as_nobody("sh".as_ref());
            let script = format!("exec 3< /proc/{pid}/{file} && head -c 1 <&3 >/dev/null || [ {file} = mem ]");
            command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status().await.expect("sh").success()
        };
        let opens = async |pid: u32| {
            let mut command = as_nobody("sh".as_ref());
            let script = format!("exec 3< /proc/{pid}/{file}");
            command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status().await.expect("sh").success()
        };
        let look = async |pid: u32| if file == "mem" { opens(pid).await } else { reads(pid).await };
        assert!(look(other).await, "{file} of a process that does not mind");
        assert!(!look(daemon.pid()).await, "{file} of obnovad");
    }
}
