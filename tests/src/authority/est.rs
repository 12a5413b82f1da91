//! The stand-in's EST (RFC 7030): whoever logs in by a certificate of the authority's own gets another one for a new key.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use openssl::hash::{MessageDigest, hash};
use openssl::x509::{X509, X509Req};

use super::desk::{Order, Wanted, certs_only, hex, openssl};
use super::wire::{Answer, Request};
use super::{Fault, Shared};

const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";

/// `CsrAttrs` (section 4.5.2) that wish a P-384 key: SEQUENCE { SEQUENCE { ecPublicKey, SET { secp384r1 } } }.
const WISHES_P384: &str = "MBQwEgYHKoZIzj0CATEHBgUrgQQAIg==";

impl Shared {
    pub(super) fn est(&self, method: &str, operation: &str, request: &Request, client: Option<&X509>) -> Answer {
        match (method, operation) {
            ("GET", "cacerts") => encoded(&certs_only(self.files.path(), &[self.authority.certificate().clone()])),
            ("GET", "csrattrs") if self.desk().fault == Some(Fault::OtherWishes) => {
                let headers = [("Content-Type", "application/csrattrs"), ("Content-Transfer-Encoding", "base64")];
                Answer::of(200, &headers, WISHES_P384.as_bytes())
            }
            ("GET", "csrattrs") => Answer::of(204, &[], b""),
            ("POST", "simplereenroll" | "simpleenroll") => match client {
                Some(client) => self.enrol(request, client),
                None => Answer::of(401, &[], b"nobody has logged in"),
            },
            _ => Answer::of(404, &[], b""),
        }
    }

    fn enrol(&self, request: &Request, client: &X509) -> Answer {
        let sha256 = hex(&hash(MessageDigest::sha256(), &request.body).expect("a digest"));
        let known = self.desk().orders.iter().any(|order| order.sha256 == sha256);
        if known {
            self.desk().counted.again += 1;
        } else {
            match self.wanted(request, client) {
                Ok(wanted) => {
                    let mut desk = self.desk();
                    desk.counted.requests += 1;
                    desk.orders.push(Order { sha256: sha256.clone(), requests: vec![wanted], issued: None });
                }
                Err(reason) => return Answer::of(400, &[], reason.as_bytes()),
            }
        }
        match self.deliver(&sha256) {
            Some(content) => encoded(&content),
            None => Answer::of(202, &[("Retry-After", "1")], b""),
        }
    }

    /// What is wanted, if the new key has signed it and it is for whoever logged in.
    fn wanted(&self, request: &Request, client: &X509) -> Result<Wanted, String> {
        if request.header("content-type") != "application/pkcs10" {
            return Err("another media type".into());
        }
        let text: String = String::from_utf8_lossy(&request.body).split_ascii_whitespace().collect();
        let pkcs10 = BASE64_STANDARD.decode(text).map_err(|_| "no base64")?;
        let scratch = tempfile::tempdir_in(self.files.path()).expect("a directory");
        let file = scratch.path().join("request");
        std::fs::write(&file, &pkcs10).expect("written");
        openssl(&["req", "-verify", "-noout", "-inform", "DER", "-in", file.to_str().expect("a path")])?;
        let parsed = X509Req::from_der(&pkcs10).expect("a request");
        let subjects = [parsed.subject_name(), client.subject_name()].map(|name| name.to_der().expect("DER"));
        let keys = [parsed.public_key(), client.public_key()].map(|key| key.expect("a key"));
        if subjects[0] != subjects[1] || keys[0].public_eq(&keys[1]) {
            return Err("it is for another holder, or for the old key".into());
        }
        Ok(Wanted { request: pkcs10, renews: client.clone() })
    }
}

/// As EST sends what is binary (section 4.1.3).
fn encoded(content: &[u8]) -> Answer {
    let headers = [("Content-Type", CERTS_ONLY), ("Content-Transfer-Encoding", "base64")];
    Answer::of(200, &headers, BASE64_STANDARD.encode(content).as_bytes())
}
