//! What an authority tells of the certificates that it has issued: a server over HTTP that answers by OCSP (`openssl ocsp`), hands out the
//! list of the revoked ones (`openssl ca`) and the authority's own certificate, and counts who asks.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openssl::asn1::{Asn1Object, Asn1OctetString};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Extension};
use tempfile::TempDir;

use super::desk::openssl;
use super::wire::{self, Answer, Request};
use crate::PATIENCE;
use crate::twins::{CardAuthority, began, name};

/// Since when everything is revoked that is.
pub const SINCE: &str = "2026-01-02T03:04:05Z";

/// For how many days an answer holds: longer than any test goes into the future.
const HOLDS: &str = "90";

/// What it says to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// What is true.
    Truth,
    /// What is no answer.
    Garbage,
    /// 500.
    Broken,
}

/// By what its certificates say that it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By OCSP, and if that fails by the list.
    Both,
    /// By the list.
    List,
}

/// A server that runs until this is dropped.
pub struct Register {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    files: TempDir,
    certificate: X509,
    state: Mutex<State>,
}

struct State {
    closed: bool,
    says: Says,
    /// The paths that were asked for.
    asked: Vec<String>,
    /// Serial numbers (hex), and since when and why they are revoked, as `openssl ca` writes it.
    entries: Vec<(String, Option<String>)>,
}

impl Register {
    /// Opens the register of this authority.
    pub fn open(authority: &CardAuthority) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &[u8]| std::fs::write(files.path().join(name), content).expect("written");
        write("ca.crt", &authority.certificate().to_pem().expect("PEM"));
        write("ca.key", &authority.key().private_key_to_pem_pkcs8().expect("PEM"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { closed: false, says: Says::Truth, asked: Vec::new(), entries: Vec::new() };
        let shared = Arc::new(Shared { files, certificate: authority.certificate().clone(), state: Mutex::new(state) });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.state().closed {
                    return;
                }
                let shared = Arc::clone(&serving);
                let stream = stream.expect("a connection");
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { shared, address }
    }

    /// Issues a certificate of a year's life, of which so many days are left, as this authority does.
    pub fn issue(&self, by: &CardAuthority, holder: &str, key: &PKey<Public>, days_left: i64, asked: Asked) -> X509 {
        let subject = name(&[("C", "CZ"), ("CN", holder)]);
        let mut builder = began(&subject, by.certificate().subject_name(), key, 365, days_left);
        let address = SubjectAlternativeName::new().email("anna@example.org").build(&builder.x509v3_context(None, None));
        let usage = KeyUsage::new().critical().digital_signature().key_agreement().build();
        for extension in [BasicConstraints::new().critical().build(), usage, address] {
            builder.append_extension(extension.expect("an extension")).expect("appended");
        }
        for extension in self.extensions(asked) {
            builder.append_extension(extension).expect("appended");
        }
        builder.sign(by.key(), MessageDigest::sha256()).expect("signed");
        let certificate = builder.build();
        self.enter(&certificate);
        certificate
    }

    /// The addresses at which it is asked, as they stand in certificates (RFC 5280 sections 4.2.1.13 and 4.2.2.1).
    pub fn extensions(&self, asked: Asked) -> Vec<X509Extension> {
        let uri = |path: &str| tlv(0x86, format!("http://localhost:{}/{path}", self.address.port()).as_bytes());
        let access = |method: u8, path: &str| {
            // id-ad (1.3.6.1.5.5.7.48) and the method.
            let method = tlv(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, method]);
            tlv(0x30, &[method, uri(path)].concat())
        };
        let ocsp = if asked == Asked::Both { access(1, "ocsp") } else { Vec::new() };
        let accesses = tlv(0x30, &[ocsp, access(2, "ca.crt")].concat());
        let points = tlv(0x30, &tlv(0x30, &tlv(0xa0, &tlv(0xa0, &uri("list.crl")))));
        let extension = |id: &str, value: &[u8]| {
            let id = Asn1Object::from_str(id).expect("an identifier");
            X509Extension::new_from_der(&id, false, &Asn1OctetString::new_from_bytes(value).expect("bytes")).expect("made")
        };
        vec![extension("1.3.6.1.5.5.7.1.1", &accesses), extension("2.5.29.31", &points)]
    }

    /// Enters a certificate that was issued.
    pub fn enter(&self, certificate: &X509) {
        self.shared.state().entries.push((serial(certificate), None));
    }

    /// Revokes a certificate since [`SINCE`], for a reason in the words of `openssl ca`.
    pub fn revoke(&self, certificate: &X509, reason: &str) {
        self.set(certificate, Some(format!("260102030405Z,{reason}")));
    }

    /// Takes that back.
    pub fn reinstate(&self, certificate: &X509) {
        self.set(certificate, None);
    }

    fn set(&self, certificate: &X509, revoked: Option<String>) {
        let serial = serial(certificate);
        let mut state = self.shared.state();
        let entry = state.entries.iter_mut().find(|(known, _)| *known == serial).expect("a certificate of its own");
        entry.1 = revoked;
    }

    /// From now on it says this.
    pub fn says(&self, says: Says) {
        self.shared.state().says = says;
    }

    /// The paths that were asked for so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.shared.state().asked.clone()
    }
}

impl Drop for Register {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        // Wakes the thread that accepts. If it cannot be reached, it is gone.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Answer {
        let says = {
            let mut state = self.state();
            state.asked.push(request.path.clone());
            state.says
        };
        match says {
            Says::Garbage => return Answer::of(200, &[], b"0\x82\x01\x00 no answer at all"),
            Says::Broken => return Answer::of(500, &[], b"sorry"),
            Says::Truth => {}
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/ocsp") if request.header("content-type") == "application/ocsp-request" => {
                self.by_openssl(&request.body, |at| {
                    let io = ["-reqin", &at.request, "-respout", &at.answer, "-index", &at.index, "-ndays", HOLDS];
                    let who = ["ocsp", "-CA", &at.certificate, "-rsigner", &at.certificate, "-rkey", &at.key];
                    openssl(&[&who[..], &io[..]].concat())
                })
            }
            ("GET", "/list.crl") => self.by_openssl(b"", |at| {
                let who = ["ca", "-gencrl", "-config", &at.config, "-cert", &at.certificate, "-keyfile", &at.key];
                openssl(&[&who[..], &["-crldays", HOLDS, "-out", &at.request]].concat())?;
                openssl(&["crl", "-in", &at.request, "-outform", "DER", "-out", &at.answer])
            }),
            ("GET", "/ca.crt") => Answer::of(200, &[], &self.certificate.to_der().expect("DER")),
            _ => Answer::of(404, &[], b""),
        }
    }

    /// Has openssl make an answer, in a directory of its own.
    fn by_openssl(&self, request: &[u8], make: impl FnOnce(&At) -> Result<(), String>) -> Answer {
        let scratch = tempfile::tempdir_in(self.files.path()).expect("a directory");
        let text = |path: PathBuf| path.to_str().expect("a path").to_owned();
        let (own, kept) = (|name: &str| text(scratch.path().join(name)), |name: &str| text(self.files.path().join(name)));
        let at = At {
            request: own("request"),
            answer: own("answer"),
            index: own("index.txt"),
            config: own("ca.cnf"),
            certificate: kept("ca.crt"),
            key: kept("ca.key"),
        };
        let write = |path: &str, content: &[u8]| std::fs::write(path, content).expect("written");
        write(&at.request, request);
        write(&at.config, format!("[ca]\ndefault_ca=it\n[it]\ndatabase={}\ndefault_md=sha256\n", at.index).as_bytes());
        let line = |(serial, revoked): &(String, Option<String>)| {
            let letter = if revoked.is_some() { "R" } else { "V" };
            format!("{letter}\t401231235959Z\t{}\t{serial}\tunknown\t/CN={serial}\n", revoked.as_deref().unwrap_or_default())
        };
        write(&at.index, self.state().entries.iter().map(line).collect::<String>().as_bytes());
        match make(&at) {
            Ok(()) => Answer::of(200, &[], &std::fs::read(&at.answer).expect("read")),
            Err(reason) => Answer::of(400, &[], reason.as_bytes()),
        }
    }
}

/// The files of one answer.
struct At {
    request: String,
    answer: String,
    index: String,
    config: String,
    certificate: String,
    key: String,
}

/// One connection with one request.
fn serve(shared: &Shared, mut stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let Some(request) = wire::read(&mut stream) else { return };
    // The client may have left.
    let _left = stream.write_all(&shared.answer(&request).bytes);
}

/// The serial number as `openssl ca` writes it.
fn serial(certificate: &X509) -> String {
    let number = certificate.serial_number().to_bn().expect("a number");
    number.to_hex_str().expect("hex").to_string()
}

/// An element of DER (X.690 section 8.1) of less than 64 KB.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a short element").to_be_bytes();
    let length = match (high, low) {
        (0, ..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}
