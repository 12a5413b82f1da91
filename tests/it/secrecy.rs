//! Where a password may not be: on the disk, in the log, on the bus, in command lines and environments. It was typed, wrong ones
//! before it, and a renewal used it. Each search is shown to find something that was put there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use obnova_api::Options;
use obnova_tests::{Agent, Answer, Asked, Bus, KeyKind, Recipe, Scene, eventually};
use tokio::process::{Child, Command};

/// The password: like nothing else anywhere.
const RIGHT: &str = "Žlutý-kôň-7331-právě";
/// Typed by mistake before it.
const WRONG: [&str; 2] = ["Xylofon-9182-omyl", "Quagga-5566-překlep"];
/// What the person is called.
const HOLDER: &str = "Barbara Planted";

/// The forms in which a password could stand somewhere.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let big: Vec<u8> = secret.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let little: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex = secret.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let escaped = secret.escape_unicode().to_string();
    let json = serde_json::to_string(&secret.bytes().collect::<Vec<_>>()).expect("JSON");
    let debug = format!("{:?}", secret.as_bytes());
    let base64 = openssl::base64::encode_block(secret.as_bytes());
    let texts = [hex.to_uppercase(), hex, escaped, json, debug, base64.trim_end_matches('=').to_owned()];
    let plain = [secret.as_bytes().to_vec(), big, little];
    plain.into_iter().chain(texts.into_iter().map(String::into_bytes)).collect()
}

/// Whether the bytes stand somewhere in the text.
fn contains(text: &[u8], bytes: &[u8]) -> bool {
    let (first, rest) = bytes.split_first().expect("something to look for");
    // By first letters: in a build without optimisation that is ten times as fast as comparing at each place.
    let mut from = 0;
    while let Some(found) = text[from..].iter().position(|byte| byte == first) {
        from += found + 1;
        if text[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

/// Fails if one of the passwords stands in the text in any form.
fn keeps_silent(what: &str, text: &[u8]) {
    for secret in WRONG.iter().chain([&RIGHT]) {
        for form in forms(secret) {
            assert!(!contains(text, &form), "{what} holds {secret:?} as {:?}", String::from_utf8_lossy(&form));
        }
    }
}

#[test]
fn the_search_finds_every_form() {
    for form in forms(RIGHT) {
        let text = [b"before".as_slice(), &form, b"after"].concat();
        assert!(std::panic::catch_unwind(|| keeps_silent("a text", &text)).is_err(), "{:?}", String::from_utf8_lossy(&form));
    }
    keeps_silent("a text", b"before and after");
}

#[tokio::test]
async fn a_password_is_nowhere_but_in_locked_memory() {
    let scene = Scene::set().await;
    let made = Recipe::new(HOLDER).key(KeyKind::Rsa(3072)).days_left(20).make();
    let path = scene.file("barbara.p12");
    made.write_p12(&path, RIGHT, &[]);
    let capture = Capture::of(&scene.bus, scene.home().join("bus.pcap")).await;
    let spy = Spy::on_processes();
    let mut command = scene.obnovad();
    command.env("OBNOVA_LOG", "trace");
    let mut daemon = scene.start_as(command).await;

    let answers = format!("password={}\npassword={}\npassword={RIGHT}\n", WRONG[0], WRONG[1]);
    let watched = scene.obnova_answering(&answers, &["watch", path.to_str().expect("UTF-8")]).await.ends(0);
    let answers = format!("consent=renewal:yes\npassword={}\npassword={RIGHT}\n", WRONG[0]);
    let renewed = scene.obnova_answering(&answers, &["renew", "--wait"]).await.ends(0);
    // Once more with a question that stays open for a while.
    let agent = Agent::on(&scene.bus, async |asked, question| match asked {
        Asked::Consent => Answer::Yes,
        _ if question.refused.is_none() => Answer::Secret(WRONG[1].into()),
        _ => Answer::Secret(RIGHT.into()),
    })
    .await;
    agent.register(true).await;
    let item = scene.item("the successor", |item| item.kind == "identity" && item.state == "valid").await;
    agent.manager().await.act(&item.id, "renew", &Options::default()).await.expect("begun");
    eventually("two renewals", async || {
        let done = scene.items().await.into_iter().filter(|item| item.kind == "renewal" && item.state == "done").count();
        (done == 2).then_some(())
    })
    .await;
    assert_eq!(agent.secrets_asked(), 2);

    let seen = spy.ends().await;
    assert!(seen.names.is_superset(&["obnova", "obnova-helper", "obnovad"].map(str::to_owned).into()), "{:?}", seen.names);
    assert!(contains(&seen.bytes, b"--state-dir") && contains(&seen.bytes, b"LANG=C.UTF-8"), "command lines and environments");
    keeps_silent("a command line or an environment", &seen.bytes);

    let traffic = capture.ends(&scene).await;
    assert!(contains(&traffic, b"org.obnova.Agent1") && contains(&traffic, HOLDER.as_bytes()), "the bus is heard");
    keeps_silent("the bus", &traffic);

    for (what, text) in [("the command line's output", watched), ("the command line's output", renewed)] {
        keeps_silent(what, text.out.as_bytes());
        keeps_silent(what, text.err.as_bytes());
    }

    // While it runs, the write-ahead log is there, too.
    let state = everything_below(&scene.state_dir());
    assert!(contains(&state, HOLDER.as_bytes()) && contains(&state, b"job"), "the journal is read");
    keeps_silent("the state directory", &state);
    daemon.stop().await;
    keeps_silent("the state directory", &everything_below(&scene.state_dir()));
    let log = daemon.log();
    assert!(log.contains("TRACE") && log.contains("DEBUG") && log.contains(HOLDER), "the log says all that it can");
    keeps_silent("the log", log.as_bytes());
    for (name, content) in scene.contents() {
        keeps_silent(&name, &content);
    }
}

/// Every byte that goes over a bus.
struct Capture {
    monitor: Child,
    file: PathBuf,
}

impl Capture {
    async fn of(bus: &Bus, file: PathBuf) -> Self {
        let out = std::fs::File::create(&file).expect("a file");
        let monitor = Command::new("dbus-monitor")
            .args(["--address", bus.address(), "--pcap"])
            .stdin(Stdio::null())
            .stdout(out)
            .kill_on_drop(true)
            .spawn()
            .expect("dbus-monitor is installed");
        let capture = Self { monitor, file };
        capture.hears(bus, "it.listens").await;
        capture
    }

    /// Waits until something said now is in the file: so is all that was said before.
    async fn hears(&self, bus: &Bus, word: &str) {
        let connection = bus.connect().await;
        eventually("a word on the bus", async || {
            connection.emit_signal(None::<&str>, "/planted", "org.example.Planted", "Said", &word).await.expect("sent");
            contains(&std::fs::read(&self.file).expect("a file"), word.as_bytes()).then_some(())
        })
        .await;
    }

    async fn ends(mut self, scene: &Scene) -> Vec<u8> {
        self.hears(&scene.bus, "it.ends").await;
        self.monitor.kill().await.expect("killed");
        std::fs::read(&self.file).expect("a file")
    }
}

/// Looks at the command lines and environments of all processes of ours, over and over.
struct Spy {
    stop: Arc<AtomicBool>,
    looking: tokio::task::JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    bytes: Vec<u8>,
}

impl Spy {
    fn on_processes() -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let looking = tokio::task::spawn_blocking(move || {
            let mut seen = Seen::default();
            let mut known = BTreeSet::new();
            while !stopping.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
                    look(&entry.path(), &mut seen, &mut known);
                }
            }
            seen
        });
        Self { stop, looking }
    }

    async fn ends(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.await.expect("no panic")
    }
}

fn look(process: &Path, seen: &mut Seen, known: &mut BTreeSet<Vec<u8>>) {
    // Most of what stands in /proc is no process, and a process may end at any moment.
    let Ok(name) = std::fs::read_to_string(process.join("comm")) else { return };
    let name = name.trim_end();
    if !name.starts_with("obnova") {
        return;
    }
    // The environment of a process that protects itself can be read by root alone; what nobody reads leaks nowhere.
    for bytes in ["cmdline", "environ"].iter().filter_map(|file| std::fs::read(process.join(file)).ok()) {
        seen.names.insert(name.to_owned());
        if known.insert(bytes.clone()) {
            seen.bytes.extend(bytes);
            seen.bytes.push(b'\n');
        }
    }
}

fn everything_below(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        all.extend(if path.is_dir() { everything_below(&path) } else { std::fs::read(&path).expect("a readable file") });
    }
    all
}
