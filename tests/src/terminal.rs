//! A pseudo-terminal with a person in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{PATIENCE, Scene, eventually, program};

/// A terminal in which a program of ours runs.
pub struct Terminal {
    keyboard: File,
    /// Another opening of the terminal: keeps it in being, and shows its settings.
    settings: File,
    screen: Arc<Mutex<String>>,
    child: Child,
}

impl Terminal {
    /// Runs `obnova` in a new terminal.
    pub fn run(scene: &Scene, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("access");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let settings = File::options().read(true).write(true).open(&path).expect("a terminal");
        let copy = || Stdio::from(settings.try_clone().expect("a descriptor"));
        let prepared = scene.command("obnova");
        // `--ctty` makes the terminal on standard input the controlling one: what /dev/tty is.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program("obnova")).env_clear().kill_on_drop(true);
        command.envs(prepared.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(scene.files()).args(["--bus", scene.bus.address()]).args(arguments);
        let child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("obnova runs");
        let keyboard = File::from(master);
        let screen = Arc::<Mutex<String>>::default();
        let (mut shown, drawing) = (keyboard.try_clone().expect("a descriptor"), Arc::clone(&screen));
        // Ends with the terminal: its last closing makes the read fail.
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = shown.read(&mut bytes) {
                drawing.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { keyboard, settings, screen, child }
    }

    /// Waits until the screen ends so, with this standing there so many times in all.
    pub async fn shows(&self, count: usize, end: &str) {
        let what = format!("{end:?} at the end of the screen");
        let shown = |screen: &str| screen.ends_with(end) && screen.matches(end).count() == count;
        eventually(&what, async || shown(&self.screen()).then_some(())).await;
    }

    /// Types.
    pub fn types(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).expect("typed");
    }

    /// Whether what is typed would be seen.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.settings).expect("settings").local_modes.contains(LocalModes::ECHO)
    }

    /// All that was on the screen, with the line ends of a file.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).replace("\r\n", "\n")
    }

    /// Waits until the program has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("never ended: {}", self.screen()))
            .expect("a status")
    }
}
