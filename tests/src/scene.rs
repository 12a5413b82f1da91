//! Where a test takes place: a bus, directories of its own, and the real programs in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use obnova_api::{BUS_NAME, ItemView, ManagerProxy, Options};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::zvariant::OwnedValue;

use crate::{Bus, News, PATIENCE, Recipe, eventually, program};

/// A private bus, and directories for state and files.
pub struct Scene {
    /// The bus.
    pub bus: Bus,
    directory: TempDir,
}

/// How a run of a program ended, and all that it wrote.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A renewal on standard output as JSON, without what is another each time.
    pub fn steady_json(&self) -> serde_json::Value {
        let mut told = self.json();
        for (key, value) in told.as_object_mut().expect("an object") {
            if ["finished", "started", "item", "subject", "made"].contains(&key.as_str()) {
                *value = format!("[{key}]").into();
            }
        }
        told
    }

    /// Panics with all that was written unless it ended so.
    #[expect(clippy::return_self_not_must_use, reason = "how it ended is often all that matters")]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- out\n{}--- err\n{}", self.out, self.err);
        self
    }
}

impl Scene {
    /// A bus without a daemon, and empty directories.
    pub async fn set() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["files", "home"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        Self { bus: Bus::start().await, directory }
    }

    /// Where the files lie that are watched.
    pub fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// A file in there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files().join(name)
    }

    /// Writes a file in there.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The names and contents of all files in there.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.files()).expect("a directory");
        let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
        files.map(|path| (name_of(&path), std::fs::read(&path).expect("read"))).collect()
    }

    /// Where the daemon keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A directory that nobody else uses.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// One of our programs in these surroundings and no others: no terminal, English, UTC.
    pub fn command(&self, name: &str) -> Command {
        // In a session of its own it has no terminal, whoever runs the tests.
        let mut command = Command::new("setsid");
        command.arg(program(name));
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        let kept = ["PATH", "LLVM_PROFILE_FILE"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kept: Vec<(&str, OsString)> = kept.collect();
        command.env_clear().envs(kept);
        command.env("HOME", self.home()).env("USER", "anna").env("TZ", "UTC").env("LANG", "C.UTF-8");
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus.address());
        command.current_dir(self.files()).stdin(Stdio::null()).kill_on_drop(true);
    }

    /// `obnovad` on this bus and these directories, not started yet.
    pub fn obnovad(&self) -> Command {
        let mut command = self.command("obnovad");
        command.arg("--state-dir").arg(self.state_dir()).args(["--bus", self.bus.address()]);
        command
    }

    /// Starts the daemon; it serves when this returns.
    pub async fn start(&self) -> Daemon {
        self.start_as(self.obnovad()).await
    }

    /// Starts a daemon that [`Scene::obnovad`] prepared; it serves when this returns.
    pub async fn start_as(&self, command: Command) -> Daemon {
        let connection = self.bus.connect().await;
        let bus = DBusProxy::new(&connection).await.expect("a bus");
        let mut owners = bus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await.expect("a stream");
        // The bus may not have heard yet that the last one is dead.
        let name = BusName::from_static_str(BUS_NAME).expect("a name");
        let free = async || (!bus.name_has_owner(name.clone()).await.expect("an answer")).then_some(());
        eventually("the name is free", free).await;
        let mut daemon = Daemon::spawn(command);
        let taken = async {
            while let Some(change) = owners.next().await {
                if change.args().expect("arguments").new_owner().is_some() {
                    return;
                }
            }
        };
        tokio::select! {
            taken = timeout(PATIENCE, taken) => taken.expect("the daemon takes its name"),
            status = daemon.child.wait() => {
                daemon.drained().await;
                panic!("obnovad ended: {status:?}\n{}", daemon.log());
            }
        }
        daemon
    }

    /// Runs `obnova` with nobody to ask.
    pub async fn obnova(&self, arguments: &[&str]) -> Outcome {
        self.run("", arguments, false).await
    }

    /// Runs `obnova` with these lines as the answers of `--secret-fd`.
    pub async fn obnova_answering(&self, answers: &str, arguments: &[&str]) -> Outcome {
        self.run(answers, arguments, true).await
    }

    async fn run(&self, answers: &str, arguments: &[&str], answering: bool) -> Outcome {
        let mut command = self.command("obnova");
        command.args(["--bus", self.bus.address()]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if answering {
            command.args(["--secret-fd", "0"]).stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("obnova runs");
        if let Some(mut input) = child.stdin.take() {
            input.write_all(answers.as_bytes()).await.expect("written");
        }
        let ended = timeout(PATIENCE, child.wait_with_output()).await;
        let output = ended.unwrap_or_else(|_| panic!("obnova {arguments:?} never ended")).expect("obnova ran");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Watches a file, with its password where it needs one.
    pub async fn watch(&self, path: &Path, password: Option<&str>) {
        let answers = password.map(|password| format!("password={password}\n")).unwrap_or_default();
        let outcome = self.obnova_answering(&answers, &["watch", path.to_str().expect("UTF-8")]).await;
        assert_eq!(outcome.code, 0, "{outcome:?}");
    }

    /// Waits until everything that the daemon had begun to tell when this was called has been heard: it tells things in
    /// order, so that what comes of one more watched file comes last. A second round lets the first look after a start end.
    pub async fn settle(&self, news: &News) {
        let manager = self.manager().await;
        for round in 0..2 {
            let path = self.home().join(format!("settled-{round}.crt"));
            std::fs::write(&path, Recipe::new("Nobody").days_left(300).make().pem()).expect("written");
            let place = format!("file:{}", path.display());
            let ids = manager.watch(&place, &Options::default()).await.expect("watched");
            let items = self.items().await;
            let id = items.iter().find(|item| item.place.as_ref() == Some(&place)).map(|item| item.id.clone());
            let id = id.unwrap_or_else(|| panic!("{ids:?} in {items:?}"));
            news.changed(&id).await;
            manager.unwatch(&id).await.expect("unwatched");
            news.removed(&id).await;
        }
    }

    /// The daemon, as a client reaches it.
    pub async fn manager(&self) -> ManagerProxy<'static> {
        ManagerProxy::new(&self.bus.connect().await).await.expect("a proxy")
    }

    /// All items, retired and ended ones too.
    pub async fn items(&self) -> Vec<ItemView> {
        let filter = [("all".to_owned(), OwnedValue::from(true))].into_iter().collect();
        let (items, next) = self.manager().await.items(filter, "", 100).await.expect("items");
        assert_eq!(next, "", "one page is enough here");
        items
    }

    /// Waits until there is just one item of which this is true.
    pub async fn item(&self, what: &str, fits: impl Fn(&ItemView) -> bool) -> ItemView {
        let manager = self.manager().await;
        let filter = || [("all".to_owned(), OwnedValue::from(true))].into_iter().collect();
        eventually(what, async || {
            let (items, _) = manager.items(filter(), "", 100).await.expect("items");
            let mut fitting: Vec<ItemView> = items.into_iter().filter(|item| fits(item)).collect();
            if fitting.len() == 1 { fitting.pop() } else { None }
        })
        .await
    }
}

/// A running `obnovad`; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    logging: JoinHandle<()>,
}

impl Daemon {
    /// Starts it and does not wait for anything.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("obnovad runs");
        let mut stderr = child.stderr.take().expect("a pipe");
        let log = Arc::<Mutex<String>>::default();
        let writing = Arc::clone(&log);
        // Ends with the daemon: its end closes the pipe.
        let logging = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
                writing.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, log, logging }
    }

    /// The process id; panics once it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it runs for ever\n{}", self.log()))
            .expect("a status")
    }

    /// Waits until all that it had written has been read, unless a child of it keeps the pipe.
    async fn drained(&mut self) {
        if let Ok(read) = timeout(Duration::from_secs(1), &mut self.logging).await {
            read.expect("it was read");
        }
    }

    /// Asks it to end, as systemd does, and waits.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("sent");
    }
}

impl Drop for Daemon {
    #[expect(clippy::print_stderr, reason = "what it said explains why a test has failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- obnovad said\n{}", self.log());
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
