//! A real mail server (Dovecot): letters that it is given by LMTP reach the person by every way in which a mailbox can be opened.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use chrono::Utc;
use obnova_api::MailboxOptions;
use obnova_tests::eventually;
use obnova_tests::letter::base64;
use obnova_tests::post::{Manner, certificate};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use tempfile::TempDir;

use crate::inside::{Inside, clock, pem};
use crate::mail::maildir::{came, mailbox};
use crate::mail::story::{house, invitation};

/// Dovecot; it ends when this is dropped.
struct Dovecot {
    directory: TempDir,
    imap: u16,
    imaps: u16,
    input: Option<ChildStdin>,
    child: Child,
}

impl Dovecot {
    /// Starts it; `capabilities`: what it says that it can do, instead of all.
    fn start(capabilities: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("obnova-dovecot-").tempdir_in("/tmp").expect("a directory");
        // Its processes run as several users.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("opened");
        let (key, shown) = certificate(Manner::default());
        std::fs::write(directory.path().join("key.pem"), key.private_key_to_pem_pkcs8().expect("PEM")).expect("written");
        std::fs::write(directory.path().join("cert.pem"), shown.to_pem().expect("PEM")).expect("written");
        let [imap, imaps] = ports();
        let (input, child) = run(directory.path(), imap, imaps, capabilities);
        Self { directory, imap, imaps, input: Some(input), child }
    }

    /// Ends it and starts it anew on what it has.
    fn restart(&mut self) {
        self.stop();
        let (input, child) = run(self.directory.path(), self.imap, self.imaps, "");
        (self.input, self.child) = (Some(input), child);
    }

    fn stop(&mut self) {
        drop(self.input.take());
        self.child.wait().expect("it was ours");
    }

    /// Delivers a mail as a mail server does (LMTP, RFC 2033).
    fn deliver(&self, mail: &[u8]) {
        let socket = UnixStream::connect(self.directory.path().join("lmtp")).expect("a connection");
        let mut lines = BufReader::new(socket.try_clone().expect("a copy"));
        let mut socket = socket;
        let mut expect = |code: &str| loop {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            assert!(line.starts_with(code), "{line}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        };
        expect("220");
        for command in ["LHLO localhost", "MAIL FROM:<info@ica.test>", "RCPT TO:<anna>"] {
            write!(socket, "{command}\r\n").expect("written");
            expect("250");
        }
        write!(socket, "DATA\r\n").expect("written");
        expect("354");
        socket.write_all(mail).expect("written");
        socket.write_all(b"\r\n.\r\n").expect("written");
        expect("250");
    }

    fn options(&self) -> MailboxOptions {
        MailboxOptions {
            command: Some("echo hemmelig".into()),
            authority: Some(self.directory.path().join("cert.pem").display().to_string()),
            ..MailboxOptions::default()
        }
    }

    /// A token that lets its bearer in (JWT, RFC 7519), signed by the key that the server has.
    fn token() -> String {
        let part = |text: String| base64(text.as_bytes()).replace('+', "-").replace('/', "_").replace('=', "");
        let now = Utc::now().timestamp();
        let claims = format!(r#"{{"sub":"anna","iat":{},"nbf":{},"exp":{}}}"#, now - 60, now - 60, now + 3600);
        let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#.into()), part(claims));
        let key = PKey::hmac(b"a key for tokens").expect("a key");
        let mut hand = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
        let signature = hand.sign_oneshot_to_vec(signed.as_bytes()).expect("signed");
        let signature = base64(&signature).replace('+', "-").replace('/', "_").replace('=', "");
        format!("{signed}.{signature}")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(directory: &Path, imap: u16, imaps: u16, capabilities: &str) -> (ChildStdin, Child) {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/dovecot.sh");
    let mut command = Command::new(script);
    command.arg(directory).args([imap, imaps].map(|port| port.to_string())).arg(capabilities);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script runs");
    let input = child.stdin.take().expect("its input");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    // What is lacking comes here first, and says so.
    assert!(lines.any(|line| line == "ready"), "Dovecot does not stand");
    (input, child)
}

/// Two ports that are free.
fn ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

fn mail(number: u32) -> Vec<u8> {
    invitation(Utc::now().fixed_offset(), number).bytes()
}

/// A letter that is delivered is told.
async fn is_told(dovecot: &Dovecot, written: &str, options: &MailboxOptions) {
    let scratch = TempDir::new().expect("a directory");
    let daemon: Inside = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    let added = daemon.manager.add_mailbox(written, options).await;
    let log = || std::fs::read_to_string(dovecot.directory.path().join("log")).unwrap_or_default();
    added.unwrap_or_else(|error| panic!("{error:?}\n{}", log()));
    mailbox(&daemon, "connected").await;
    dovecot.deliver(&mail(1));
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);
    assert_eq!(daemon.identity().await.letter.expect("its origin").standing, "trusted");
    daemon.stop().await;
}

#[tokio::test]
async fn a_letter_comes_by_tls_and_by_starttls() {
    let dovecot = Dovecot::start("");
    is_told(&dovecot, &format!("imaps://anna@localhost:{}", dovecot.imaps), &dovecot.options()).await;
    let dovecot = Dovecot::start("");
    is_told(&dovecot, &format!("imap://anna@localhost:{}", dovecot.imap), &dovecot.options()).await;
}

#[tokio::test]
async fn a_letter_comes_to_whoever_bears_a_token() {
    for login in ["xoauth2", "oauthbearer"] {
        let dovecot = Dovecot::start("");
        let command = Some(format!("echo {}", Dovecot::token()));
        let options = MailboxOptions { login: Some(login.into()), command, ..dovecot.options() };
        is_told(&dovecot, &format!("imaps://anna@localhost:{}", dovecot.imaps), &options).await;
    }
}

#[tokio::test]
async fn who_bears_no_token_or_a_wrong_password_is_refused() {
    let dovecot = Dovecot::start("");
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    for login in ["xoauth2", "oauthbearer", "password"] {
        let options = MailboxOptions { login: Some(login.into()), command: Some("echo wrong".into()), ..dovecot.options() };
        let refused = daemon.manager.add_mailbox(&format!("imaps://anna@localhost:{}", dovecot.imaps), &options).await;
        let obnova_api::Error::Problem(problem) = refused.expect_err("not added") else { panic!("no problem") };
        assert_eq!(problem.kind, "mail-refused", "{login}: {problem:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_push_is_asked() {
    let dovecot = Dovecot::start("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS");
    dovecot.deliver(&mail(1));
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    let written = format!("imaps://anna@localhost:{}", dovecot.imaps);
    daemon.manager.add_mailbox(&written, &dovecot.options()).await.expect("added");
    came(&daemon, 1).await;
    dovecot.deliver(&mail(2));
    daemon.pass(chrono::Duration::minutes(16)).await;
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_server_that_is_started_anew_is_found_again() {
    let mut dovecot = Dovecot::start("");
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    let written = format!("imaps://anna@localhost:{}", dovecot.imaps);
    daemon.manager.add_mailbox(&written, &dovecot.options()).await.expect("added");
    dovecot.deliver(&mail(1));
    came(&daemon, 1).await;
    dovecot.restart();
    dovecot.deliver(&mail(2));
    came(&daemon, 2).await;
    eventually("the mailbox", async || (mailbox(&daemon, "connected").await.level == "ok").then_some(())).await;
    daemon.stop().await;
}
