//! A mail server that takes mails for the stand-in and for nobody else: SMTP (RFC 5321) over TLS, which begins at once or by STARTTLS.
//! It counts how often it was told a password, and fails in whatever way it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::Shared;
use crate::PATIENCE;

/// Who logs in there.
pub const USER: &str = "anna";
/// The password.
pub const PASSWORD: &str = "brieftaube";

/// How it is, and how it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostManner {
    /// TLS begins by STARTTLS.
    pub starttls: bool,
    /// What it does otherwise than it should.
    pub fault: Option<PostFault>,
}

/// Something that a mail server does otherwise than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostFault {
    /// It knows no STARTTLS.
    NoStarttls,
    /// It refuses each mail when it has read it, for the moment.
    Refuses,
    /// It takes the mail, and hangs up without a word.
    Mute,
}

/// The server, while it is not dropped.
pub struct PostOffice {
    address: std::net::SocketAddr,
    desk: Arc<Counter>,
    certificates: PathBuf,
}

/// What the threads of the server share.
struct Counter {
    shared: Arc<Shared>,
    manner: PostManner,
    logins: AtomicUsize,
    closed: std::sync::atomic::AtomicBool,
}

impl PostOffice {
    pub(super) fn open(shared: &Arc<Shared>, tls_anchor: &[u8], manner: PostManner) -> Self {
        let certificates = shared.files.path().join("tls-anchor.pem");
        let anchor = openssl::x509::X509::from_der(tls_anchor).expect("a certificate");
        std::fs::write(&certificates, anchor.to_pem().expect("PEM")).expect("written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let desk = Arc::new(Counter {
            shared: Arc::clone(shared),
            manner,
            logins: AtomicUsize::new(0),
            closed: std::sync::atomic::AtomicBool::new(false),
        });
        let serving = Arc::clone(&desk);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.closed.load(Ordering::Acquire) {
                    return;
                }
                let (desk, stream) = (Arc::clone(&serving), stream.expect("a connection"));
                std::thread::spawn(move || desk.serve(stream));
            }
        });
        Self { address, desk, certificates }
    }

    /// What `[smtp]` is to say, with this file holding the password.
    pub fn configuration(&self, password_file: Option<&Path>) -> String {
        let security = if self.desk.manner.starttls { "start-tls" } else { "tls" };
        let file = password_file.map(|path| format!("password-file = \"{}\"\n", path.display())).unwrap_or_default();
        format!(
            "[smtp]\nserver = \"localhost\"\nport = {}\nsecurity = \"{security}\"\nuser = \"{USER}\"\nfrom = \"anna@example.org\"\n\
             certificates = \"{}\"\n{file}",
            self.address.port(),
            self.certificates.display()
        )
    }

    /// How often somebody told it a password.
    pub fn logins(&self) -> usize {
        self.desk.logins.load(Ordering::Acquire)
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::Release);
        // Wakes the thread that accepts. If it cannot be reached, it is gone.
        drop(TcpStream::connect(self.address));
    }
}

impl Counter {
    /// One connection. Whoever hangs up has sent nothing.
    fn serve(&self, stream: TcpStream) {
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        if self.manner.starttls {
            let mut stream = stream;
            if let Some(true) = self.greet(&mut stream, false) {
                let Ok(mut inside) = self.shared.tls.accept(stream) else { return };
                let _left = self.converse(&mut inside);
            }
        } else {
            let Ok(mut stream) = self.shared.tls.accept(stream) else { return };
            if stream.write_all(b"220 localhost\r\n").is_ok() {
                let _left = self.converse(&mut stream);
            }
        }
    }

    /// What is said before STARTTLS; whether it was asked for.
    fn greet(&self, stream: &mut TcpStream, greeted: bool) -> Option<bool> {
        if !greeted {
            stream.write_all(b"220 localhost\r\n").ok()?;
        }
        let offers = if self.manner.fault == Some(PostFault::NoStarttls) {
            "250 localhost\r\n"
        } else {
            "250-localhost\r\n250 STARTTLS\r\n"
        };
        loop {
            let line = line(stream)?;
            match line.split(' ').next().unwrap_or_default() {
                "EHLO" => stream.write_all(offers.as_bytes()).ok()?,
                "STARTTLS" => {
                    stream.write_all(b"220 go on\r\n").ok()?;
                    return Some(true);
                }
                "QUIT" => return Some(false),
                // In plain text it takes nothing, and least of all a password.
                other => {
                    assert!(!other.starts_with("AUTH") && !other.starts_with("MAIL"), "{other} in plain text");
                    stream.write_all(b"502 no\r\n").ok()?;
                }
            }
        }
    }

    /// What is said inside of TLS; `None` where the other side hung up.
    fn converse(&self, stream: &mut (impl Read + Write)) -> Option<()> {
        let mut known = false;
        loop {
            let line = line(stream)?;
            let answer: &[u8] = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => b"250-localhost\r\n250 AUTH PLAIN\r\n",
                "AUTH" => {
                    self.logins.fetch_add(1, Ordering::AcqRel);
                    let told = line.strip_prefix("AUTH PLAIN ").and_then(|told| BASE64_STANDARD.decode(told).ok());
                    known = told == Some(format!("\0{USER}\0{PASSWORD}").into_bytes());
                    if known { b"235 welcome\r\n" } else { b"535 who are you\r\n" }
                }
                "NOOP" | "RSET" => b"250 well\r\n",
                "MAIL" if known => b"250 from\r\n",
                "RCPT" if line.contains("<renewal@ra.example>") => b"250 to\r\n",
                "RCPT" => b"550 nobody of this name\r\n",
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    let mail = mail(stream)?;
                    match self.manner.fault {
                        Some(PostFault::Refuses) => b"451 later\r\n",
                        fault => match self.shared.take_mail(&mail) {
                            Ok(_) if fault == Some(PostFault::Mute) => return None,
                            Ok(_) => b"250 taken\r\n",
                            Err(reason) => {
                                stream.write_all(format!("554 {reason}\r\n").as_bytes()).ok()?;
                                continue;
                            }
                        },
                    }
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").ok()?;
                    return Some(());
                }
                _ => b"502 what\r\n",
            };
            stream.write_all(answer).ok()?;
        }
    }
}

/// One line, without its end.
fn line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            b'\n' => return Some(String::from_utf8(line).expect("UTF-8").trim_end_matches('\r').to_owned()),
            byte => line.push(byte),
        }
    }
}

/// A mail, up to the line with a dot.
fn mail(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    let mut reader = BufReader::with_capacity(1, stream);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        match line.as_slice() {
            b".\r\n" => return Some(mail),
            // RFC 5321 section 4.5.2.
            [b'.', rest @ ..] => mail.extend_from_slice(rest),
            whole => mail.extend_from_slice(whole),
        }
    }
}
