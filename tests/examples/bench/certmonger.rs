//! certmonger on the same certificates, on a session bus of its own: what Obnova is measured against.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use obnova_tests::Bus;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::BigNum;
use openssl::x509::X509;
use tempfile::TempDir;
use tokio::process::Command;
use zbus::Connection;

use super::process::{Running, timed};
use super::sets::Set;

const PROGRAM: &str = "/usr/sbin/certmonger";

/// A certmonger that tracks a set.
pub(crate) struct Certmonger {
    bus: Bus,
    connection: Connection,
    scratch: TempDir,
}

/// What is measured of it, in seconds and MB.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) start: Vec<f64>,
    pub(crate) list: Vec<f64>,
    pub(crate) memory: Vec<f64>,
}

impl Certmonger {
    pub(crate) fn is_installed() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Has it track these, and know them.
    pub(crate) async fn with(set: &Set) -> Self {
        let bus = Bus::start().await;
        let connection = bus.connect().await;
        let scratch = tempfile::tempdir().expect("a directory");
        for directory in ["requests", "cas", "local", "config", "temporary"] {
            fs::create_dir(scratch.path().join(directory)).expect("a directory");
        }
        for (position, (certificate, key)) in set.pairs().enumerate() {
            let request = request(position, &certificate, &key);
            fs::write(scratch.path().join(format!("requests/{position:06}")), request).expect("written");
        }
        let certmonger = Self { bus, connection, scratch };
        let (running, _) = certmonger.start().await;
        running.calm().await;
        let listed = certmonger.list().output().await.expect("getcert runs");
        let monitored = String::from_utf8_lossy(&listed.stdout).matches("status: MONITORING").count();
        assert_eq!(monitored, set.count, "certmonger tracks them");
        running.stop().await;
        certmonger
    }

    pub(crate) async fn figures(&self, runs: usize) -> Figures {
        let mut figures = Figures::default();
        for _ in 0..runs {
            let (running, start) = self.start().await;
            running.calm().await;
            figures.start.push(start.as_secs_f64());
            figures.list.push(timed(&mut self.list()).await.as_secs_f64());
            figures.memory.extend(running.megabytes());
            running.stop().await;
        }
        figures
    }

    /// Starts it; how long it took to its name.
    pub(crate) async fn start(&self) -> (Running, Duration) {
        let mut command = Command::new(PROGRAM);
        command.args(["-s", "-n", "-B"]);
        Running::start(self.surrounded(&mut command), &self.connection, "org.fedorahosted.certmonger").await
    }

    fn list(&self) -> Command {
        let mut command = Command::new("getcert");
        command.args(["list", "-s"]);
        self.surrounded(&mut command);
        command
    }

    fn surrounded<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let at = |directory: &str| self.scratch.path().join(directory);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
            .env("HOME", self.scratch.path())
            .env("CERTMONGER_CONFIG_DIR", at("config"))
            .env("CERTMONGER_REQUESTS_DIR", at("requests"))
            .env("CERTMONGER_CAS_DIR", at("cas"))
            .env("CERTMONGER_LOCAL_CA_DIR", at("local"))
            .env("CERTMONGER_TMPDIR", at("temporary"))
            .stderr(std::process::Stdio::null())
    }
}

/// What certmonger has written down once it has read a certificate that it is told to track: it reads one in five seconds.
fn request(position: usize, certificate: &Path, key: &Path) -> String {
    let pem = fs::read_to_string(certificate).expect("read");
    let parsed = X509::from_pem(pem.as_bytes()).expect("a certificate");
    let hex = |bytes: Vec<u8>| {
        BigNum::from_slice(&bytes).and_then(|number| number.to_hex_str().map(|hex| hex.to_string())).expect("hex")
    };
    let name = hex(parsed.subject_name().to_der().expect("DER"));
    let public_key = hex(parsed.public_key().and_then(|key| key.public_key_to_der()).expect("DER"));
    let serial = parsed.serial_number().to_bn().and_then(|number| number.to_hex_str().map(|hex| hex.to_string())).expect("hex");
    let epoch = Asn1Time::from_unix(0).expect("a time");
    let time = |time: &Asn1TimeRef| {
        let since = epoch.diff(time).expect("a difference");
        let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
        DateTime::from_timestamp(seconds, 0).expect("a time").format("%Y%m%d%H%M%S").to_string()
    };
    format!(
        "id={position:06}\nkey_type=EC\nkey_gen_type=EC\nkey_size=256\nkey_gen_size=256\nkey_storage_type=FILE\n\
         key_storage_location={}\nkey_pubkey_info={public_key}\ncert_storage_type=FILE\ncert_storage_location={}\n\
         cert_issuer_der={name}\ncert_issuer=CN=Mailbox {position:06}\ncert_serial={serial}\ncert_subject_der={name}\n\
         cert_subject=CN=Mailbox {position:06}\ncert_spki={public_key}\ncert_not_before={}\ncert_not_after={}\n\
         state=MONITORING\nautorenew=1\nmonitor=1\ncert={}\n\n",
        key.display(),
        certificate.display(),
        time(parsed.not_before()),
        time(parsed.not_after()),
        pem.trim_end().replace('\n', "\n "),
    )
}
