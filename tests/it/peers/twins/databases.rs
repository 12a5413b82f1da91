//! The certificate databases of the person's programs: told of the new pair, asked which certificate they will use, and judged by
//! NSS's own tools, which know nothing of us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use obnova_tests::token::{PIN, SoftToken};
use obnova_tests::{Daemon, Scene, eventually};
use openssl::x509::X509;

use super::configured;
use super::token::{new_ids, pair};

/// A person with a token, Thunderbird, which uses the old pair, Firefox, and the database that others share.
struct Desk {
    token: SoftToken,
    scene: Scene,
    daemon: Daemon,
}

impl Desk {
    async fn set(prepare: impl FnOnce(&Desk)) -> Self {
        brought();
        let token = pair(20);
        let scene = Scene::set().await;
        let mut desk = None;
        for name in [".thunderbird/a.default", ".mozilla/firefox/b.default", ".pki/nssdb"] {
            let directory = scene.home().join(name);
            fs::create_dir_all(&directory).expect("made");
            nss("certutil", &["-N", "-d", &database(&directory), "--empty-password"], &token);
            if let Some((base, profile)) = name.rsplit_once('/').filter(|_| name != ".pki/nssdb") {
                fs::write(scene.home().join(base).join("profiles.ini"), format!("[Profile0]\nPath={profile}\n"))
                    .expect("written");
            }
        }
        let command = configured(&scene, "nss-twins", &token.configuration());
        let daemon = scene.start_as(command).await;
        let made = desk.insert(Self { token, scene, daemon });
        let preferences = [("signing", "02"), ("encryption", "02")].map(|(purpose, id)| {
            format!("user_pref(\"mail.identity.id1.{purpose}_cert_dbkey\", \"{}\");\n", key_of(&made.token.certificate(id)))
        });
        let text = format!("user_pref(\"mail.identity.id1.useremail\", \"anna@example.org\");\n{}", preferences.concat());
        fs::write(made.thunderbird().join("prefs.js"), text).expect("written");
        prepare(made);
        made.scene.obnova(&["watch", &made.token.place()]).await.ends(0);
        desk.expect("a desk")
    }

    fn thunderbird(&self) -> PathBuf {
        self.scene.home().join(".thunderbird/a.default")
    }

    async fn renew(&self) {
        let answers = format!("consent=renewal:yes\npin={PIN}\n");
        let outcome = self.scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(0);
        assert!(outcome.err.contains("Anna Novak has a new certificate"), "{outcome:?}");
    }

    /// The new certificates, that of the commercial role last.
    fn pair(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = new_ids(&self.token).iter().map(|id| self.token.certificate(id)).collect();
        all.sort_by_key(|der| X509::from_der(der).expect("a certificate").public_key().expect("a key").rsa().is_err());
        assert_eq!(all.len(), 2);
        all
    }

    /// The certificates that certutil lists in a database, by their bytes.
    fn known(&self, directory: &Path) -> Vec<Vec<u8>> {
        let database = database(directory);
        let listed = nss("certutil", &["-L", "-d", &database], &self.token);
        let nicknames = listed.lines().filter_map(|line| line.trim_end().strip_suffix(",,")).map(str::trim);
        nicknames
            .filter(|nickname| !nickname.is_empty())
            .map(|nickname| {
                let pem = nss("certutil", &["-L", "-d", &database, "-n", nickname, "-a"], &self.token);
                X509::from_pem(pem.as_bytes()).expect("a certificate").to_der().expect("DER")
            })
            .collect()
    }

    fn preferences(&self) -> String {
        fs::read_to_string(self.thunderbird().join("prefs.js")).expect("read")
    }

    async fn doctor(&self) -> String {
        let outcome = self.scene.obnova(&["doctor", "Anna Novak"]).await;
        outcome.out + &outcome.err
    }
}

#[tokio::test]
async fn programs_know_module_and_pair_afterwards_and_say_which_they_use() {
    let desk = Desk::set(|_| ()).await;
    assert!(desk.doctor().await.contains("Thunderbird uses the certificate of Anna Novak for anna@example.org, to sign"));
    let plan = desk.scene.obnova(&["renew", "Anna Novak", "--dry-run"]).await.ends(0);
    assert!(plan.out.contains("Thunderbird, Firefox and others learn of it"), "{}", plan.out);
    desk.renew().await;
    let new = desk.pair();
    for name in [".thunderbird/a.default", ".mozilla/firefox/b.default", ".pki/nssdb"] {
        let directory = desk.scene.home().join(name);
        let known = desk.known(&directory);
        assert!(new.iter().all(|one| known.contains(one)), "{name}");
        let modules = nss("modutil", &["-dbdir", &database(&directory), "-list"], &desk.token);
        assert!(modules.contains("Obnova libsofthsm2"), "{modules}");
        // Through the module, NSS sees the pair on the token itself.
        let pin = desk.scene.write("pin", format!("{PIN}\n"));
        let pin = pin.to_str().expect("UTF-8");
        let seen = nss("certutil", &["-L", "-d", &database(&directory), "-h", "Anna", "-f", pin], &desk.token);
        assert!(seen.contains("Anna:"), "{seen}");
    }
    assert_eq!(desk.preferences().matches(&key_of(&new[1])).count(), 2, "{}", desk.preferences());
    let said = desk.doctor().await;
    assert!(said.contains("Thunderbird uses the certificate of Anna Novak for anna@example.org, to sign."), "{said}");
}

#[tokio::test]
async fn a_running_program_is_left_alone_and_holds_nothing_up() {
    let mut open = None;
    let desk = Desk::set(|desk| {
        // As the program itself locks it.
        let lock = desk.thunderbird().join(".parentlock");
        fs::write(&lock, "").expect("written");
        let script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(&lock).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut program = command.spawn().expect("python3 runs");
        let mut held = [0; 5];
        std::io::Read::read_exact(program.stdout.as_mut().expect("a pipe"), &mut held).expect("held");
        open = Some(program);
    })
    .await;
    desk.renew().await;
    let new = desk.pair();
    let firefox = desk.known(&desk.scene.home().join(".mozilla/firefox/b.default"));
    assert!(new.iter().all(|one| firefox.contains(one)), "another program is told all the same");
    assert!(desk.known(&desk.thunderbird()).is_empty() && !desk.preferences().contains(&key_of(&new[1])));
    let said = desk.doctor().await;
    assert!(said.contains("Thunderbird uses another certificate than that of Anna Novak"), "{said}");
    assert!(said.contains("Close Thunderbird"), "{said}");

    // Closed, it is told by the next daemon, or by this one after a while.
    let mut program = open.expect("a program");
    drop(program.stdin.take());
    program.wait().expect("ended");
    let Desk { token, scene, mut daemon } = desk;
    daemon.stop().await;
    let command = configured(&scene, "nss-twins", &token.configuration());
    let desk = Desk { daemon: scene.start_as(command).await, token, scene };
    eventually("Thunderbird has heard", async || desk.preferences().contains(&key_of(&new[1])).then_some(())).await;
    assert!(new.iter().all(|one| desk.known(&desk.thunderbird()).contains(one)));
}

#[tokio::test]
async fn a_password_of_the_programs_own_is_neither_needed_nor_asked_for() {
    let desk = Desk::set(|desk| {
        let directory = desk.thunderbird();
        let (none, own) = (directory.join("none"), directory.join("own"));
        fs::write(&none, "\n").expect("written");
        fs::write(&own, "jahoda\n").expect("written");
        let [none, own] = [&none, &own].map(|path| path.to_str().expect("UTF-8"));
        nss("certutil", &["-W", "-d", &database(&directory), "-f", none, "-@", own], &desk.token);
    })
    .await;
    desk.renew().await;
    let known = desk.known(&desk.thunderbird());
    let new = desk.pair();
    assert!(new.iter().all(|one| known.contains(one)));
    assert_eq!(desk.preferences().matches(&key_of(&new[1])).count(), 2, "{}", desk.preferences());
    // There is one: what is behind it cannot be listed without.
    let keys = ["-K", "-d", &database(&desk.thunderbird()), "-f", "/dev/null"];
    let refused = Command::new("certutil").args(keys).output().expect("it runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("SEC_ERROR_BAD_PASSWORD"), "{refused:?}");
}

/// As Mozilla's programs name a certificate: see `nsNSSCertificate::GetDbKey`. Reckoned here by OpenSSL.
fn key_of(der: &[u8]) -> String {
    let certificate = X509::from_der(der).expect("a certificate");
    let issuer = certificate.issuer_name().to_der().expect("DER");
    let mut serial = certificate.serial_number().to_bn().expect("a number").to_vec();
    if serial[0] >= 0x80 {
        serial.insert(0, 0);
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
    BASE64_STANDARD.encode([&[0; 8][..], &length(&serial), &length(&issuer), &serial, &issuer].concat())
}

fn database(directory: &Path) -> String {
    format!("sql:{}", directory.display())
}

/// What one of NSS's tools says.
fn nss(tool: &str, arguments: &[&str], token: &SoftToken) -> String {
    let mut command = Command::new("timeout");
    command.args(["30", tool]).args(arguments).envs(&token.module().environment).stdin(std::process::Stdio::null());
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    said
}

/// Brings NSS's tools here where they are lacking.
fn brought() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/nss.sh");
    assert!(Command::new(script).status().expect("nss.sh runs").success());
}
