//! A mail server (IMAP) that stands in for real ones: it serves what a script has put into its folders, counts what is said to it, and fails
//! in whatever way it is told to. Its encryption is OpenSSL's.

mod talk;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};

use crate::KeyKind;

/// Who may log in.
pub const USER: &str = "anna";

/// With what password.
pub const PASSWORD: &str = "hemmelig ø";

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What its certificate calls it.
    pub name: &'static str,
    /// How many days its certificate is still valid; it has been for one.
    pub days: u32,
    /// It is encrypted from the first byte.
    pub tls: bool,
    /// What it says that it can do.
    pub capabilities: &'static str,
}

impl Default for Manner {
    fn default() -> Self {
        Self { name: "localhost", days: 30, tls: true, capabilities: "IMAP4rev1 AUTH=PLAIN IDLE CONDSTORE" }
    }
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It hangs up once, when somebody says this command (`GREETING`: at once).
    Cut(&'static str),
    /// The same in the middle of its answer.
    CutWithin(&'static str),
    /// It says nothing any more after this command.
    Silent(&'static str),
    /// Behind its answer to STARTTLS it says more, unencrypted.
    Injects,
    /// It has let everybody in before anything is said.
    Preauth,
    /// It answers this command with a literal of so many bytes.
    Literal(&'static str, u64),
    /// It answers what makes no sense.
    Garbage(&'static str),
    /// It refuses every login.
    Refuses,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Stored {
    /// When it came, as INTERNALDATE says it.
    pub at: chrono::DateTime<chrono::Utc>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How long it says that it is.
    pub size: u64,
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// UIDVALIDITY.
    pub validity: u32,
    /// UIDNEXT.
    pub next: u32,
    /// Its mails by their unique numbers.
    pub mails: BTreeMap<u32, Stored>,
}

impl Folder {
    fn new(validity: u32) -> Self {
        Self { validity, next: 1, mails: BTreeMap::new() }
    }

    /// Puts a mail in.
    pub fn put(&mut self, mail: Stored) {
        self.mails.insert(self.next, mail);
        self.next += 1;
    }
}

/// What is in it, what was said to it, and how it fails.
#[derive(Debug)]
pub struct State {
    /// The folders by name.
    pub folders: BTreeMap<String, Folder>,
    /// How it fails.
    pub fault: Option<Fault>,
    /// The password that counts.
    pub password: String,
    /// All commands, without their tags; a secret is left out.
    pub said: Vec<String>,
    /// How many connections there were.
    pub connections: usize,
    /// How many bytes of mails it has sent.
    pub sent: u64,
    /// Somebody waits in IDLE.
    pub idling: usize,
    capabilities: &'static str,
    /// Not before TLS.
    ended: bool,
}

/// A server that runs until this is dropped.
pub struct PostOffice {
    shared: Arc<Shared>,
    address: SocketAddr,
    certificate: X509,
}

struct Shared {
    state: Mutex<State>,
    acceptor: SslAcceptor,
    tls: bool,
}

impl PostOffice {
    /// A server with an empty INBOX and an empty folder for junk.
    pub fn start(manner: Manner) -> Self {
        let (acceptor, certificate) = acceptor(manner);
        let folders = [("INBOX", 1), ("Archive", 2), ("Spam", 3)];
        let state = State {
            folders: folders.map(|(name, validity)| (name.to_owned(), Folder::new(validity))).into(),
            fault: None,
            password: PASSWORD.to_owned(),
            said: Vec::new(),
            connections: 0,
            sent: 0,
            idling: 0,
            capabilities: manner.capabilities,
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), acceptor, tls: manner.tls });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let shared = Arc::clone(&serving);
                if shared.state().ended {
                    return;
                }
                std::thread::spawn(move || talk::serve(&shared, tcp.expect("a connection")));
            }
        });
        Self { shared, address, certificate }
    }

    /// How it is written as a mailbox.
    pub fn mailbox(&self) -> String {
        let scheme = if self.shared.tls { "imaps" } else { "imap" };
        format!("{scheme}://{USER}@localhost:{}", self.address.port())
    }

    /// Who has signed its certificate, as PEM.
    pub fn anchor(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    /// What is in it, what was said to it, and how it fails.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Puts a mail that comes now into a folder.
    pub fn deliver(&self, folder: &str, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        let mail = Stored { at: chrono::Utc::now(), bytes, size };
        self.state().folders.get_mut(folder).expect("a folder").put(mail);
    }

    /// The commands so far that begin so.
    pub fn said(&self, command: &str) -> Vec<String> {
        self.state().said.iter().filter(|said| said.starts_with(command)).cloned().collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.state().ended = true;
        // The thread that accepts sees it with the next connection.
        drop(std::net::TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

/// A key, and a certificate of its own for a server.
pub fn certificate(manner: Manner) -> (PKey<Private>, X509) {
    let key = KeyKind::P256.generate();
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", manner.name).expect("a name");
    let name = name.build();
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("a version");
    let serial = BigNum::from_u32(1).and_then(|one| one.to_asn1_integer()).expect("a serial number");
    builder.set_serial_number(&serial).expect("a serial number");
    builder.set_subject_name(&name).expect("a name");
    builder.set_issuer_name(&name).expect("a name");
    builder.set_pubkey(&key).expect("a key");
    let day = 24 * 60 * 60;
    let now = chrono::Utc::now().timestamp();
    let time = |seconds: i64| Asn1Time::from_unix(now + seconds).expect("a time");
    builder.set_not_before(&time(-2 * day)).expect("a time");
    let end = if manner.days == 0 { -day } else { day * i64::from(manner.days) };
    builder.set_not_after(&time(end)).expect("a time");
    let names = SubjectAlternativeName::new().dns(manner.name).build(&builder.x509v3_context(None, None)).expect("a name");
    builder.append_extension(names).expect("a name");
    builder.sign(&key, MessageDigest::sha256()).expect("a signature");
    let certificate = builder.build();
    (key, certificate)
}

/// What encrypts, and the certificate that it shows.
fn acceptor(manner: Manner) -> (SslAcceptor, X509) {
    let (key, certificate) = certificate(manner);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS");
    acceptor.set_private_key(&key).expect("a key");
    acceptor.set_certificate(&certificate).expect("a certificate");
    (acceptor.build(), certificate)
}
