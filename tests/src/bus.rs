//! A message bus of the test's own.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use zbus::Connection;

/// A private session bus that activates nothing; gone when dropped.
pub struct Bus {
    process: Child,
    address: String,
    _directory: TempDir,
}

impl Bus {
    /// Starts one; it listens when this returns.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let configuration = directory.path().join("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
            directory.path().display()
        );
        std::fs::write(&configuration, text).expect("written");
        let log = directory.path().join("bus.log");
        let mut process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", configuration.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("dbus-daemon is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let Some(address) = lines.next_line().await.expect("read") else {
            panic!("dbus-daemon prints no address: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        Self { process, address, _directory: directory }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection to it.
    pub async fn connect(&self) -> Connection {
        let builder = zbus::connection::Builder::address(self.address.as_str()).expect("an address");
        builder.build().await.expect("a connection")
    }

    /// Ends it without further ado.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("killed");
    }
}
