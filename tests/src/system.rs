//! The system scope in the test's hands: a system bus of its own with polkit on it, the daemon as its own user, and callers who are
//! other users. Needs root.

use std::collections::HashMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use obnova_api::{BUS_NAME, ManagerProxy};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

use crate::{Daemon, Outcome, PATIENCE, eventually, program};

/// A caller whom polkit allows nothing.
pub const NOBODY: u32 = 65534;
/// A caller who may look: the user `games`.
pub const LOOKER: u32 = 5;
/// A caller who may look and act: the user `daemon`.
pub const ACTOR: u32 = 1;

/// A system bus, and what stands on it.
pub struct SystemBus {
    /// Where it listens.
    pub address: String,
    /// The daemon's user.
    pub uid: u32,
    directory: TempDir,
    script: Child,
    _open: ChildStdin,
}

impl SystemBus {
    /// Starts bus and polkit; they serve when this returns.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        open_to_all(directory.path());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut script = Command::new(root.join("testbed/system-bus.sh"))
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("system-bus.sh runs");
        let open = script.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(script.stdout.take().expect("a pipe")).lines();
        let line = lines.next_line().await.expect("read").expect("system-bus.sh says where the bus is");
        let said: HashMap<&str, &str> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
        for name in ["obnovad", "obnova-helper", "obnova-courier", "obnova"] {
            let copy = directory.path().join(name);
            std::fs::copy(program(name), &copy).expect("a program that others may run");
        }
        let (address, uid) = (said["BUS"].to_owned(), said["UID"].parse().expect("a user id"));
        let system = Self { address, uid, directory, script, _open: open };
        for name in ["files", "state", "etc"] {
            let path = system.path(name);
            std::fs::create_dir(&path).expect("a directory");
            chown(&path, Some(uid), Some(uid)).expect("given away");
        }
        open_to_all(&system.path("files"));
        system
    }

    /// A path in the directory of this bus; `files`, `state` and `etc` are the daemon's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that the daemon's user owns and nobody else may read.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("files").join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("closed");
        chown(&path, Some(self.uid), Some(self.uid)).expect("given away");
        path
    }

    /// A connection as root.
    pub async fn connect(&self) -> Connection {
        let builder = zbus::connection::Builder::address(self.address.as_str()).expect("an address");
        builder.build().await.expect("a connection")
    }

    /// The daemon, as root reaches it.
    pub async fn manager(&self) -> ManagerProxy<'static> {
        ManagerProxy::new(&self.connect().await).await.expect("a proxy")
    }

    /// A command as this user, without any group or capability of root's, in surroundings of its own.
    pub fn command_as(&self, uid: u32, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        let id = uid.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]).arg(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        command.env("HOME", "/nonexistent").env("TZ", "UTC").env("LANG", "C.UTF-8");
        command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// `obnovad` as its own user with these arguments, not started yet.
    pub fn obnovad(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_as(self.uid, &self.path("obnovad"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--config").arg(self.path("etc").join("obnova.toml")).args(arguments);
        command
    }

    /// Starts a daemon that [`SystemBus::obnovad`] prepared; it serves when this returns. There is a configuration, if only one
    /// that names nothing.
    pub async fn serve(&self, command: Command) -> Daemon {
        let configuration = self.path("etc").join("obnova.toml");
        if !configuration.exists() {
            std::fs::write(&configuration, "[watch]\nplaces = []\n").expect("written");
        }
        self.await_name(command).await
    }

    /// Starts a daemon with whatever configuration there is; it serves when this returns.
    pub async fn await_name(&self, command: Command) -> Daemon {
        let bus = DBusProxy::new(&self.connect().await).await.expect("a bus");
        let name = BusName::from_static_str(BUS_NAME).expect("a name");
        let mut daemon = Daemon::spawn(command);
        let taken =
            eventually("the daemon's name", async || bus.name_has_owner(name.clone()).await.expect("an answer").then_some(()));
        tokio::select! {
            () = taken => {}
            status = daemon.ended() => panic!("obnovad ended: {status:?}\n{}", daemon.log()),
        }
        daemon
    }

    /// Runs a program of this machine as this user.
    pub async fn run_as(&self, uid: u32, program: impl AsRef<Path>, arguments: &[&str]) -> Outcome {
        self.run(uid, program.as_ref(), arguments, "").await
    }

    /// Runs `obnova` on this bus as this user.
    pub async fn obnova_as(&self, uid: u32, arguments: &[&str]) -> Outcome {
        self.obnova_answering(uid, "", arguments).await
    }

    /// The same with these lines as the answers of `--secret-fd`, if there are any.
    pub async fn obnova_answering(&self, uid: u32, answers: &str, arguments: &[&str]) -> Outcome {
        let mut all = vec!["--system"];
        all.extend(arguments);
        if !answers.is_empty() {
            all.extend(["--secret-fd", "0"]);
        }
        self.run(uid, &self.path("obnova"), &all, answers).await
    }

    async fn run(&self, uid: u32, program: &Path, arguments: &[&str], input: &str) -> Outcome {
        let mut command = self.command_as(uid, program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        // Whoever reads nothing may have gone.
        let _ = pipe.write_all(input.as_bytes()).await;
        drop(pipe);
        let ended = timeout(PATIENCE, child.wait_with_output()).await;
        let output = ended.unwrap_or_else(|_| panic!("{} {arguments:?} never ended", program.display())).expect("it ran");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Serves logind's answers: this process is in the session that the value names, every other one in `others`.
    pub async fn logind(&self) -> Logind {
        let connection = self.connect().await;
        let sessions = Sessions { mine: Arc::new(Mutex::new("mine".to_owned())) };
        let mine = Arc::clone(&sessions.mine);
        connection.object_server().at("/org/freedesktop/login1", sessions).await.expect("a free path");
        connection.request_name("org.freedesktop.login1").await.expect("a free name");
        Logind { mine, _connection: connection }
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        // The end of its input ends it, and with it all that it has started.
        if let Some(id) = self.script.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // It may have ended before.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
    }
}

/// logind's part in this: it says which session a process belongs to.
pub struct Logind {
    mine: Arc<Mutex<String>>,
    _connection: Connection,
}

impl Logind {
    /// From now on this process is in that session.
    pub fn move_to(&self, session: &str) {
        session.clone_into(&mut self.mine.lock().expect("no panic while held"));
    }
}

struct Sessions {
    mine: Arc<Mutex<String>>,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Sessions {
    #[zbus(name = "GetSessionByPID")]
    fn get_session_by_pid(&self, pid: u32) -> OwnedObjectPath {
        let mine = self.mine.lock().expect("no panic while held").clone();
        let session = if pid == std::process::id() { mine } else { "others".to_owned() };
        let path = format!("/org/freedesktop/login1/session/{session}");
        ObjectPath::try_from(path).expect("a path").into()
    }
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("opened");
}
