//! An authority in the network that stands in for real ones: an HTTPS server of the tests' own, whose cryptography is OpenSSL's. It is
//! strict, counts what reaches it and what it issues, and fails in whatever way it is told to.

mod desk;
mod est;
pub mod post;
pub mod register;
mod wire;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::store::X509StoreBuilder;
use tempfile::TempDir;

use crate::twins::{CardAuthority, Use, began, name};
use crate::{KeyKind, PATIENCE};
use desk::Desk;
use post::{PostManner, PostOffice};
use register::Register;

/// How the authority fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers only when nobody waits any more.
    Late,
    /// It sends what is no certificate.
    Garbage,
    /// It closes the connection in the middle of its answer.
    Half,
    /// It never stops answering.
    Endless,
    /// It certifies another key.
    OtherKey,
    /// What it issues has expired already.
    Expired,
    /// It certifies a weaker key.
    Weaker,
    /// It gives the old certificate's serial number again.
    SameSerial,
    /// It issues for somebody else.
    OtherHolder,
    /// It leaves out that the key may be used so.
    OtherUse,
    /// An authority that nobody trusts has issued it.
    OtherChain,
    /// 500.
    Broken,
    /// 503, with a time.
    Busy,
    /// It sends to another host.
    Redirects,
    /// It takes the request, and hangs up without a word.
    Mute,
    /// It refuses what it is asked.
    Refuses,
    /// By EST, it wishes another kind of key.
    OtherWishes,
    /// It revokes at once what it issues.
    Revokes,
}

/// What has reached it and what it has issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that it has taken.
    pub requests: usize,
    /// Times that a request came that it had already.
    pub again: usize,
    /// Certificates.
    pub certificates: usize,
}

/// A server that runs until this is dropped.
pub struct StandIn {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls_anchor: Vec<u8>,
}

/// What the threads of the server share.
struct Shared {
    /// Who issues.
    authority: CardAuthority,
    /// What it tells of what it has issued.
    register: Register,
    desk: Mutex<Desk>,
    tls: SslAcceptor,
    files: TempDir,
}

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What its TLS certificate calls it.
    pub name: &'static str,
    /// Whether it issues at once; else when it is asked for the second time.
    pub at_once: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { name: "localhost", at_once: true }
    }
}

impl StandIn {
    /// A server that issues at once.
    pub fn start() -> Self {
        Self::start_as(Manner::default())
    }

    /// A server of this manner.
    pub fn start_as(manner: Manner) -> Self {
        let authority = CardAuthority::new();
        let files = tempfile::tempdir().expect("a directory");
        std::fs::write(files.path().join("ca.pem"), authority.certificate().to_pem().expect("PEM")).expect("written");
        let (tls, tls_anchor) = acceptor(manner.name, &authority, files.path());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let register = Register::open(&authority);
        let shared = Arc::new(Shared { authority, register, desk: Mutex::new(Desk::new(manner.at_once)), tls, files });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&serving);
                if shared.desk().closed {
                    return;
                }
                let stream = stream.expect("a connection");
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { shared, address, tls_anchor }
    }

    /// A certificate of a year's life that it has issued before, of which so many days are left.
    pub fn issued(&self, holder: &str, key: &PKey<Public>, usage: Use, days_left: i64) -> X509 {
        self.shared.authority.issue(holder, key, usage, days_left)
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &X509 {
        self.shared.authority.certificate()
    }

    /// What it tells of what it issues.
    pub fn register(&self) -> &Register {
        &self.shared.register
    }

    /// From now on it fails so; `None`: it works.
    pub fn fails(&self, fault: Option<Fault>) {
        self.shared.desk().fault = fault;
    }

    /// Lets go on what it holds back.
    pub fn relents(&self) {
        self.shared.desk().at_once = true;
    }

    /// A mail server that takes mails for it, and for nobody else.
    pub fn post_office(&self, manner: PostManner) -> PostOffice {
        PostOffice::open(&self.shared, &self.tls_anchor, manner)
    }

    /// What it mails for its last order: the certificates (CMS without signers), whether anybody could fetch them or not.
    pub fn mailed(&self, fault: Option<Fault>) -> Vec<u8> {
        self.shared.mailed(fault)
    }

    /// Its address, up to the path.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Whom to trust for its TLS certificate.
    pub fn tls_anchor(&self) -> X509 {
        X509::from_der(&self.tls_anchor).expect("a certificate")
    }

    /// What it has counted.
    pub fn counted(&self) -> Counted {
        self.shared.desk().counted
    }

    /// Writes the programme of `packaging/programmes` for it: its addresses and anchors instead of those of the example.
    pub fn write_programme(&self, example: &str, to: &Path, change: impl FnOnce(&str) -> String) {
        let path = format!("{}/../packaging/programmes/{example}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the example");
        let pem = |certificate: &X509| String::from_utf8(certificate.to_pem().expect("PEM")).expect("text");
        let tls = self.tls_anchor();
        let mut parts = text.split("-----BEGIN CERTIFICATE-----");
        let mut own = parts.next().expect("a beginning").to_owned();
        for (part, certificate) in parts.zip([self.certificate(), &tls]) {
            let (_, after) = part.split_once("-----END CERTIFICATE-----\n").expect("an end");
            own += &pem(certificate);
            own += after;
        }
        let anchors = |text: &str| text.matches("BEGIN CERTIFICATE").count();
        assert_eq!(anchors(&own), anchors(&text), "all anchors of {path} are exchanged");
        let own = own.replace("https://ra.example", &self.url());
        let own = own.replace("Example Authority", "Obnova simulated authority");
        std::fs::write(to, change(&own)).expect("written");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.desk().closed = true;
        // Wakes the thread that accepts. If it cannot be reached, it is gone.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection with one request. Whoever fails the handshake has asked for nothing.
fn serve(shared: &Shared, stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let Ok(mut stream) = shared.tls.accept(stream) else { return };
    let Some(request) = wire::read(&mut stream) else { return };
    let client = stream.ssl().peer_certificate();
    let answer = shared.answer(&request, client.as_ref());
    // The client may have left.
    let _left = answer.write(&mut stream).and_then(|()| stream.flush());
    drop(stream.shutdown());
}

impl wire::Answer {
    /// Waits first, where that is the fault.
    fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        if self.late {
            std::thread::sleep(Duration::from_secs(4));
        }
        stream.write_all(&self.bytes)?;
        if self.endless {
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Ok(())
    }
}

/// TLS as it ought to be, asking for certificates of the authority's own; the anchor (DER) by which it is trusted.
fn acceptor(host: &str, authority: &CardAuthority, files: &Path) -> (SslAcceptor, Vec<u8>) {
    let anchor = CardAuthority::named("Obnova test TLS authority");
    let key = KeyKind::P256.generate();
    let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
    let subject = name(&[("CN", host)]);
    let mut builder = began(&subject, anchor.certificate().subject_name(), &public, 100, 50);
    let alternative = SubjectAlternativeName::new().dns(host).build(&builder.x509v3_context(None, None));
    let constraints = BasicConstraints::new().critical().build();
    for extension in [constraints, ExtendedKeyUsage::new().server_auth().build(), alternative] {
        builder.append_extension(extension.expect("an extension")).expect("appended");
    }
    builder.sign(anchor.key(), MessageDigest::sha256()).expect("signed");
    let key_file = files.join("tls.key");
    std::fs::write(&key_file, key.private_key_to_pem_pkcs8().expect("PEM")).expect("written");
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS");
    acceptor.set_certificate(&builder.build()).expect("a certificate");
    acceptor.set_private_key_file(&key_file, SslFiletype::PEM).expect("a key");
    let mut trusted = X509StoreBuilder::new().expect("a store");
    trusted.add_cert(authority.certificate().clone()).expect("added");
    acceptor.set_verify_cert_store(trusted.build()).expect("a store");
    acceptor.set_verify(SslVerifyMode::PEER);
    acceptor.set_session_id_context(b"stand-in").expect("a context");
    (acceptor.build(), anchor.certificate().to_der().expect("DER"))
}
