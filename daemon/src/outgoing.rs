//! The person's way to send mail: the server that the configuration names, and what a mail that carries a signed request looks like.
//! Sending is obnova-courier's; when, is the runner's.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use obnova_core::mailbox::Security;
use obnova_core::programme::{Correspondence, MailAddress};
use obnova_core::{Fingerprint, Problem};
use obnova_secret::Secret;
use serde::Deserialize;

use crate::companions::Bytes;
use crate::courier::protocol::Dispatch;

/// The longest list of certificates that is read, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// The person's mail server, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Outgoing {
    /// The server's name.
    pub server: String,
    /// Its port; where nothing is said, that of RFC 8314.
    port: Option<u16>,
    /// When TLS begins. Nothing is said without it.
    #[serde(default = "at_once")]
    security: Security,
    /// Who logs in; nobody, where nothing is said.
    pub user: Option<String>,
    /// The person's own address.
    pub from: MailAddress,
    /// A file with the password; where nothing is said, the person is asked.
    password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) of whom to trust for the server's own, instead of those that the machine trusts.
    certificates: Option<PathBuf>,
}

fn at_once() -> Security {
    Security::Tls
}

/// What is wrong with it by itself, and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The server has no name.
    #[error("`server` is expected to be the name of a mail server")]
    Server,
    /// A file's path depends on where one stands.
    #[error("an absolute path is expected")]
    Path,
}

impl Outgoing {
    /// What is wrong with it by itself, and what is allowed.
    pub fn mistake(&self) -> Option<Mistake> {
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if self.server.is_empty() || !self.server.bytes().all(name) {
            return Some(Mistake::Server);
        }
        let files = [&self.password_file, &self.certificates];
        files.into_iter().flatten().any(|path| !path.is_absolute()).then_some(Mistake::Path)
    }

    /// How the person knows it: who logs in, and where.
    pub fn account(&self) -> String {
        format!("{} ({})", self.user.as_deref().unwrap_or_default(), self.server)
    }

    /// The password, where a file holds it.
    pub fn password(&self) -> Result<Option<Secret>, Problem> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let failed = |detail: String| Problem::MailServer { server: self.server.clone(), detail };
        let file = std::fs::File::open(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let mut secret = Secret::read_from(file).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        if secret.expose().last() == Some(&b'\n') {
            secret.truncate(secret.expose().len() - 1);
        }
        Ok(Some(secret))
    }

    /// What the courier is to send.
    pub(crate) fn dispatch(&self, to: &MailAddress, mail: &[u8]) -> Result<Dispatch, Problem> {
        let certificates = self.certificates.as_ref().map(|path| {
            let failed = |detail: String| Problem::MailServer { server: self.server.clone(), detail };
            let about = std::fs::metadata(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
            if about.len() > LONGEST {
                return Err(failed(path.display().to_string()));
            }
            std::fs::read(path).map(Bytes).map_err(|error| failed(format!("{}: {error}", path.display())))
        });
        Ok(Dispatch {
            server: self.server.clone(),
            port: self.port,
            security: self.security,
            user: self.user.clone(),
            certificates: certificates.transpose()?,
            from: self.from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            mail: Bytes(mail.to_vec()),
        })
    }

    /// The mail that carries a signed message (DER of CMS, RFC 8551 section 3.5.2), with all its headers. The same message at the same
    /// time is the same bytes.
    pub(crate) fn mail(&self, letter: &Correspondence, signed: &[u8], now: DateTime<Utc>) -> Result<Vec<u8>, Problem> {
        let internal = |error: &dyn std::fmt::Display| Problem::Internal { detail: error.to_string() };
        let address = |address: &MailAddress| address.as_str().parse::<Mailbox>().map_err(|error| internal(&error));
        let kind = ContentType::parse("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m");
        let body = Body::new_with_encoding(signed.to_vec(), ContentTransferEncoding::Base64);
        let message = Message::builder()
            .from(address(&self.from)?)
            .to(address(&letter.to)?)
            .subject(letter.subject.clone())
            .date(now.into())
            .message_id(Some(format!("<{}@{}>", &Fingerprint::of(signed).to_string()[..32], self.from.domain())))
            .header(kind.map_err(|error| internal(&error))?)
            .body(body.map_err(|_| Problem::Internal { detail: "base64".into() })?);
        message.map(|message| message.formatted()).map_err(|error| internal(&error))
    }
}

/// The Message-ID of a mail that was made here, without its angle brackets.
pub(crate) fn message_id(mail: &[u8]) -> String {
    let head = String::from_utf8_lossy(mail);
    let line = head.lines().find_map(|line| line.strip_prefix("Message-ID: <"));
    line.unwrap_or_default().trim_end_matches('>').to_owned()
}

/// The request (DER of PKCS #10) in a mail that was made here; `None`: it is none, or not whole.
pub(crate) fn request_in(mail: &[u8]) -> Option<Vec<u8>> {
    let (_, body) = std::str::from_utf8(mail).ok()?.split_once("\r\n\r\n")?;
    let signed = of_lines(body)?;
    let head = head();
    let at = signed.windows(head.len()).position(|window| window == head.as_bytes())? + head.len();
    let in_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
    let lines: Vec<u8> = signed[at..].iter().take_while(in_base64).copied().collect();
    // What follows may begin like more of it: lines end the request.
    let end = lines.windows(2).rposition(|pair| pair == b"\r\n")?;
    of_lines(std::str::from_utf8(&lines[..end]).ok()?)
}

fn of_lines(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok()
}

/// What stands before the request in the part that is signed.
fn head() -> String {
    const LINES: [&str; 3] = [
        "Content-Type: application/pkcs10; name=smime.p10",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment; filename=smime.p10",
    ];
    format!("{}\r\n\r\n", LINES.join("\r\n"))
}

/// The part of a mail that is signed: the request (DER of PKCS #10) as a file (RFC 8551 section 3.8).
pub(crate) fn enclosed(request: &[u8]) -> Vec<u8> {
    /// How long lines in base64 are (RFC 2045 section 6.8).
    const LINE: usize = 76;
    let mut part = head();
    for line in BASE64_STANDARD.encode(request).as_bytes().chunks(LINE) {
        part.extend(line.iter().map(|byte| char::from(*byte)));
        part.push_str("\r\n");
    }
    part.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_the_same_bytes_and_gives_its_request_back() {
        let outgoing: Outgoing =
            toml::from_str("server = \"smtp.example.org\"\nfrom = \"anna@example.org\"\n").expect("no mistake");
        let anchors = include_str!("../../packaging/programmes/signed-mail.toml");
        let programme = obnova_core::Programme::parse("signed-mail.toml", anchors).expect("no mistake");
        let obnova_core::programme::Authority::SignedMail(letter) = programme.authority else { panic!("another protocol") };
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        for length in [1, 56, 57, 58, 1000] {
            let request: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
            // As OpenSSL would: what is signed stands in the message as it is, with signatures behind it.
            let signed = [b"0\x82cms".as_slice(), &enclosed(&request), b"\xa0\x82signers+ABC"].concat();
            let mail = outgoing.mail(&letter, &signed, now).expect("a mail");
            assert_eq!(outgoing.mail(&letter, &signed, now).expect("a mail"), mail);
            assert_eq!(request_in(&mail), Some(request), "{length}");
            let id = message_id(&mail);
            assert!(id.len() == 32 + "@example.org".len() && id.ends_with("@example.org"), "{id}");
        }
        assert_eq!(request_in(b"Subject: x\r\n\r\nno"), None);
    }
}
