//! What the stand-in takes, what it issues for it, and how it fails. `openssl cms -verify` and `openssl req -verify` alone decide what
//! is a request.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Public};
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Req};

use super::register::Asked;
use super::wire::{Answer, Request};
use super::{Counted, Fault, Shared};
use crate::KeyKind;
use crate::twins::{CardAuthority, began, name};

/// What lies on the authority's desk.
pub(super) struct Desk {
    pub(super) closed: bool,
    pub(super) at_once: bool,
    pub(super) fault: Option<Fault>,
    pub(super) counted: Counted,
    pub(super) orders: Vec<Order>,
}

pub(super) struct Order {
    pub(super) sha256: String,
    pub(super) requests: Vec<Wanted>,
    pub(super) issued: Option<Vec<u8>>,
}

/// What is wanted, proved.
pub(super) struct Wanted {
    /// DER of the PKCS #10 request.
    pub(super) request: Vec<u8>,
    /// The certificate that is renewed.
    pub(super) renews: X509,
}

impl Desk {
    pub(super) fn new(at_once: bool) -> Self {
        Self { closed: false, at_once, fault: None, counted: Counted::default(), orders: Vec::new() }
    }
}

impl Shared {
    pub(super) fn answer(&self, request: &Request, client: Option<&X509>) -> Answer {
        let fault = self.desk().fault;
        match fault {
            Some(Fault::Broken) => return Answer::of(500, &[], b"sorry"),
            Some(Fault::Busy) => return Answer::of(503, &[("Retry-After", "3600")], b"later"),
            Some(Fault::Redirects) => return Answer::of(307, &[("Location", "https://elsewhere.example/renew")], b""),
            Some(Fault::Refuses) => return Answer::of(403, &[], b"no"),
            _ => {}
        }
        let mut answer = match (request.method.as_str(), request.path.split_at_checked("/orders/".len())) {
            ("POST", _) if request.path == "/renew" => self.take(request),
            ("GET", Some(("/orders/", sha256))) => self.show(sha256),
            (method, _) => match request.path.strip_prefix("/.well-known/est/") {
                Some(operation) => self.est(method, operation, request, client),
                None => Answer::of(404, &[], b""),
            },
        };
        match fault {
            Some(Fault::Late) => answer.late = true,
            Some(Fault::Half) => answer.bytes.truncate(answer.bytes.len() - 20),
            Some(Fault::Mute) => answer.bytes.clear(),
            Some(Fault::Endless) => {
                answer.bytes = b"HTTP/1.1 200 .\r\nConnection: close\r\n\r\n".to_vec();
                answer.endless = true;
            }
            _ => {}
        }
        answer
    }

    /// Takes what is posted: all of it, or none.
    fn take(&self, request: &Request) -> Answer {
        let sha256 = hex(&hash(MessageDigest::sha256(), &request.body).expect("a digest"));
        let location = format!("/orders/{sha256}");
        if self.desk().orders.iter().any(|order| order.sha256 == sha256) {
            self.desk().counted.again += 1;
            return Answer::of(202, &[("Location", &location), ("Retry-After", "1")], b"");
        }
        let messages = match messages(request) {
            Ok(messages) => messages,
            Err(reason) => return Answer::of(400, &[], reason.as_bytes()),
        };
        let mut wanted = Vec::new();
        for message in messages {
            match self.prove(&message) {
                Ok(proved) => wanted.push(proved),
                Err(reason) => return Answer::of(400, &[], reason.as_bytes()),
            }
        }
        let mut desk = self.desk();
        desk.counted.requests += wanted.len();
        desk.orders.push(Order { sha256, requests: wanted, issued: None });
        Answer::of(201, &[("Location", &location)], b"")
    }

    /// What a message asks for, if the old key has signed it and the new one what is in it.
    fn prove(&self, message: &[u8]) -> Result<Wanted, String> {
        let scratch = tempfile::tempdir_in(self.files.path()).expect("a directory");
        let at = |name: &str| scratch.path().join(name).to_str().expect("a path").to_owned();
        let (whole, content, signer) = (at("message"), at("content"), at("signer"));
        std::fs::write(&whole, message).expect("written");
        let ca = self.files.path().join("ca.pem");
        let ca = ca.to_str().expect("a path");
        let verify = ["cms", "-verify", "-binary", "-inform", "DER", "-in", &whole, "-out", &content, "-signer", &signer];
        openssl(&[&verify[..], &["-CAfile", ca, "-purpose", "any", "-partial_chain"]].concat())?;
        openssl(&["req", "-verify", "-noout", "-inform", "DER", "-in", &content])?;
        fits(read(&content), X509::from_pem(&read(&signer)).expect("a certificate"))
    }

    /// Takes a mail as it came; whether it is new.
    pub(super) fn take_mail(&self, mail: &[u8]) -> Result<bool, String> {
        let sha256 = hex(&hash(MessageDigest::sha256(), mail).expect("a digest"));
        if self.desk().orders.iter().any(|order| order.sha256 == sha256) {
            self.desk().counted.again += 1;
            return Ok(false);
        }
        let scratch = tempfile::tempdir_in(self.files.path()).expect("a directory");
        let at = |name: &str| scratch.path().join(name).to_str().expect("a path").to_owned();
        let (whole, content, signer, request) = (at("mail"), at("content"), at("signer"), at("request"));
        std::fs::write(&whole, mail).expect("written");
        let ca = self.files.path().join("ca.pem");
        let ca = ca.to_str().expect("a path");
        let verify = ["cms", "-verify", "-inform", "SMIME", "-in", &whole, "-out", &content, "-signer", &signer];
        openssl(&[&verify[..], &["-CAfile", ca, "-purpose", "any", "-partial_chain"]].concat())?;
        let part = String::from_utf8(read(&content)).map_err(|_| "no text")?;
        let (head, body) = part.split_once("\r\n\r\n").ok_or("no headers")?;
        if !head.starts_with("Content-Type: application/pkcs10") {
            return Err("it encloses no request".into());
        }
        let body: String = body.split_ascii_whitespace().collect();
        std::fs::write(&request, BASE64_STANDARD.decode(body).map_err(|_| "no base64")?).expect("written");
        openssl(&["req", "-verify", "-noout", "-inform", "DER", "-in", &request])?;
        let wanted = fits(read(&request), X509::from_pem(&read(&signer)).expect("a certificate"))?;
        let mut desk = self.desk();
        desk.counted.requests += 1;
        desk.orders.push(Order { sha256, requests: vec![wanted], issued: None });
        Ok(true)
    }

    fn show(&self, sha256: &str) -> Answer {
        if !self.desk().orders.iter().any(|order| order.sha256 == sha256) {
            return Answer::of(404, &[], b"");
        }
        match self.deliver(sha256) {
            Some(content) => Answer::of(200, &[("Content-Type", "application/pkcs7-mime; smime-type=certs-only")], &content),
            None => Answer::of(202, &[("Retry-After", "1")], b""),
        }
    }

    /// What an order brings, issued once; `None` while it waits.
    pub(super) fn deliver(&self, sha256: &str) -> Option<Vec<u8>> {
        let mut desk = self.desk();
        let (at_once, fault) = (desk.at_once, desk.fault);
        let order = desk.orders.iter_mut().find(|order| order.sha256 == sha256).expect("an order");
        if !at_once {
            return None;
        }
        match (&order.issued, fault) {
            (Some(issued), None) => return Some(issued.clone()),
            (_, Some(Fault::Garbage)) => return Some(b"0\x82\x01\x00 no certificate at all".to_vec()),
            _ => {}
        }
        let issued: Vec<X509> = order.requests.iter().map(|wanted| self.issue(wanted, fault)).collect();
        let content = certs_only(self.files.path(), &issued);
        // What is wrong is not kept: asked once more, it does better.
        if matches!(fault, None | Some(Fault::Late | Fault::Half | Fault::OtherWishes)) && order.issued.is_none() {
            order.issued = Some(content.clone());
            desk.counted.certificates += issued.len();
        }
        Some(content)
    }

    pub(super) fn mailed(&self, fault: Option<Fault>) -> Vec<u8> {
        let mut desk = self.desk();
        let order = desk.orders.last_mut().expect("an order");
        let issued: Vec<X509> = order.requests.iter().map(|wanted| self.issue(wanted, fault)).collect();
        let content = certs_only(self.files.path(), &issued);
        if fault.is_none() {
            assert_eq!(order.issued.replace(content.clone()), None, "it is issued once");
            desk.counted.certificates += issued.len();
        }
        content
    }

    fn issue(&self, wanted: &Wanted, fault: Option<Fault>) -> X509 {
        let request = X509Req::from_der(&wanted.request).expect("a request");
        let other = CardAuthority::new();
        let authority = if fault == Some(Fault::OtherChain) { &other } else { &self.authority };
        let public = |key: KeyKind| {
            PKey::<Public>::public_key_from_der(&key.generate().public_key_to_der().expect("DER")).expect("a key")
        };
        let key = match fault {
            Some(Fault::OtherKey) => public(KeyKind::P256),
            Some(Fault::Weaker) => public(KeyKind::Rsa(1024)),
            _ => request.public_key().expect("a key"),
        };
        let somebody = name(&[("C", "CZ"), ("CN", "Somebody Else")]);
        let subject = if fault == Some(Fault::OtherHolder) { &somebody } else { request.subject_name() };
        let mut builder = began(subject, authority.certificate().subject_name(), &key, 365, 365);
        if fault == Some(Fault::Expired) {
            builder.set_not_before(&days(-2)).expect("a time");
            builder.set_not_after(&days(-1)).expect("a time");
        }
        if fault == Some(Fault::SameSerial) {
            let serial: BigNum = wanted.renews.serial_number().to_bn().expect("a number");
            builder.set_serial_number(&serial.to_asn1_integer().expect("a serial")).expect("a serial");
        }
        builder.append_extension(BasicConstraints::new().critical().build().expect("an extension")).expect("appended");
        let context = builder.x509v3_context(Some(authority.certificate()), None);
        let identifiers = [
            SubjectKeyIdentifier::new().build(&context).expect("an extension"),
            AuthorityKeyIdentifier::new().keyid(true).build(&context).expect("an extension"),
        ];
        for extension in identifiers {
            builder.append_extension(extension).expect("appended");
        }
        for extension in request.extensions().expect("extensions") {
            let usage = [0x55, 0x1D, 0x0F];
            let der = extension.to_der().expect("DER");
            if !(fault == Some(Fault::OtherUse) && der.windows(3).any(|window| window == usage)) {
                builder.append_extension(extension).expect("appended");
            }
        }
        for extension in self.register.extensions(Asked::Both) {
            builder.append_extension(extension).expect("appended");
        }
        builder.sign(authority.key(), MessageDigest::sha256()).expect("signed");
        let certificate = builder.build();
        self.register.enter(&certificate);
        if fault == Some(Fault::Revokes) {
            self.register.revoke(&certificate, "keyCompromise");
        }
        certificate
    }
}

/// What a request asks for that the key of this certificate has authorised.
fn fits(pkcs10: Vec<u8>, renews: X509) -> Result<Wanted, String> {
    let (der, request) = (renews.to_der().expect("DER"), X509Req::from_der(&pkcs10).expect("a request"));
    if !pkcs10.windows(der.len()).any(|window| window == der) {
        return Err("it does not name the certificate that it renews".into());
    }
    let subjects = [request.subject_name(), renews.subject_name()].map(|name| name.to_der().expect("DER"));
    let keys = [request.public_key(), renews.public_key()].map(|key| key.expect("a key"));
    if subjects[0] != subjects[1] || keys[0].public_eq(&keys[1]) {
        return Err("it is for another holder, or for the old key".into());
    }
    Ok(Wanted { request: pkcs10, renews })
}

fn days(from_now: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    Asn1Time::from_unix(now.cast_signed() + from_now * 86_400).expect("a time")
}

/// The messages that are posted: one, or those of a `multipart/mixed`.
fn messages(request: &Request) -> Result<Vec<Vec<u8>>, String> {
    const PART: &str = "application/pkcs7-mime; smime-type=signed-data";
    let kind = request.header("content-type");
    if kind == PART {
        return Ok(vec![request.body.clone()]);
    }
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").ok_or("another media type")?;
    let text = String::from_utf8(request.body.clone()).map_err(|_| "no text")?;
    let text = text.strip_suffix(&format!("--{boundary}--\r\n")).ok_or("no end")?;
    let mut found = Vec::new();
    for part in text.split(&format!("--{boundary}\r\n")).skip(1) {
        let head = format!("Content-Type: {PART}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        let content = part.strip_prefix(&head).ok_or("another part")?;
        found.push(BASE64_STANDARD.decode(content.trim_end()).map_err(|_| "no base64")?);
    }
    Ok(found)
}

/// CMS without signers, as `openssl crl2pkcs7` makes it.
pub(super) fn certs_only(files: &Path, certificates: &[X509]) -> Vec<u8> {
    let scratch = tempfile::tempdir_in(files).expect("a directory");
    let (pem, out) = (scratch.path().join("all.pem"), scratch.path().join("out.p7"));
    let all: Vec<u8> = certificates.iter().flat_map(|one| one.to_pem().expect("PEM")).collect();
    std::fs::write(&pem, all).expect("written");
    let [pem, out] = [&pem, &out].map(|path| path.to_str().expect("a path"));
    openssl(&["crl2pkcs7", "-nocrl", "-certfile", pem, "-outform", "DER", "-out", out]).expect("made");
    read(out)
}

pub(super) fn openssl(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("timeout");
    let output = command.args(["60", "openssl"]).args(arguments).stdin(Stdio::null()).output().expect("openssl is installed");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).expect("read")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
