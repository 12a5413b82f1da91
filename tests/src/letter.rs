//! Mails as authorities, offices and attackers send them: written line by line and signed with keys that lie among the fixtures, so
//! that the same mail comes out each time. Signing is written down here a second time, apart from what the daemon verifies with.

use std::path::PathBuf;

use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;

/// A mail in the making.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Name and value of each header, the topmost first; folded values with their line ends.
    pub headers: Vec<(String, String)>,
    /// The body, with CR LF.
    pub body: Vec<u8>,
}

/// How a mail is signed with DKIM (RFC 6376).
#[derive(Clone, Debug)]
pub struct Dkim {
    /// `d=`.
    pub domain: &'static str,
    /// `s=`, and the file of the key.
    pub selector: &'static str,
    /// `h=`.
    pub covers: Vec<&'static str>,
    /// Headers are signed letter by letter instead of in the relaxed form.
    pub simple: bool,
    /// `l=`.
    pub length: Option<usize>,
}

/// The headers that a good signature covers.
pub const COVERED: [&str; 9] =
    ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];

/// Where the mails, the keys and the zone lie.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail")
}

impl Dkim {
    /// A good signature.
    pub fn by(domain: &'static str, selector: &'static str) -> Self {
        Self { domain, selector, covers: COVERED.to_vec(), simple: false, length: None }
    }

    /// The same without one of the headers.
    #[must_use]
    pub fn without(mut self, header: &str) -> Self {
        self.covers.retain(|covered| *covered != header);
        self
    }
}

impl Mail {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { headers: Vec::new(), body: Vec::new() }
    }

    /// One header more, below the others.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One header more, above the others.
    #[must_use]
    pub fn above(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    /// Another value for the first header of this name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let header = self.headers.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name));
        value.clone_into(&mut header.unwrap_or_else(|| panic!("no {name} to change")).1);
        self
    }

    /// None of the headers of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// This body; lines that end in LF get their CR.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body.clear();
        for (at, byte) in body.as_ref().iter().enumerate() {
            if *byte == b'\n' && (at == 0 || body.as_ref()[at - 1] != b'\r') {
                self.body.push(b'\r');
            }
            self.body.push(*byte);
        }
        self
    }

    /// Some text of the body exchanged for another.
    #[must_use]
    pub fn exchange(mut self, from: &str, to: &str) -> Self {
        let body = String::from_utf8(self.body).expect("the body to change is text");
        let [from, to] = [from, to].map(|text| text.replace("\r\n", "\n").replace('\n', "\r\n"));
        assert!(body.contains(&from), "the text to change is there: {from}");
        self.body = body.replacen(&from, &to, 1).into_bytes();
        self
    }

    /// Signed with DKIM; the signature stands above the other headers.
    #[must_use]
    pub fn signed(self, how: &Dkim) -> Self {
        let key = key(how.selector);
        let algorithm = if key.id() == Id::ED25519 { "ed25519-sha256" } else { "rsa-sha256" };
        let body = if how.simple { simple_body(&self.body) } else { relaxed_body(&self.body) };
        let body = &body[..how.length.unwrap_or(body.len())];
        let form = if how.simple { "simple" } else { "relaxed" };
        let length = how.length.map(|length| format!(" l={length};")).unwrap_or_default();
        let unsigned = format!(
            "v=1; a={algorithm}; c={form}/{form}; d={}; s={};{length}\r\n\th={};\r\n\tbh={};\r\n\tb=",
            how.domain,
            how.selector,
            how.covers.join(":"),
            base64(&sha256(body)),
        );
        let mut signed = Vec::new();
        let mut used: Vec<usize> = Vec::new();
        for name in &how.covers {
            // From the bottom up; one that is not there is signed as missing (RFC 6376 section 5.4.2).
            let found =
                (0..self.headers.len()).rev().find(|at| !used.contains(at) && self.headers[*at].0.eq_ignore_ascii_case(name));
            if let Some(at) = found {
                used.push(at);
                let (name, value) = &self.headers[at];
                signed.extend(canonical(name, value, how.simple));
                signed.extend(b"\r\n");
            }
        }
        signed.extend(canonical("DKIM-Signature", &unsigned, how.simple));
        let signature = if key.id() == Id::ED25519 {
            let mut hand = Signer::new_without_digest(&key).expect("a signer");
            hand.sign_oneshot_to_vec(&sha256(&signed)).expect("signed")
        } else {
            let mut hand = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
            hand.sign_oneshot_to_vec(&signed).expect("signed")
        };
        let folded: Vec<String> =
            base64(&signature).as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line).into()).collect();
        self.above("DKIM-Signature", &format!("{unsigned}{}", folded.join("\r\n\t ")))
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let headers: Vec<u8> =
            self.headers.iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect();
        [headers, b"\r\n".to_vec(), self.body.clone()].concat()
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self::new()
    }
}

/// The private key of this name among the fixtures.
pub fn key(name: &str) -> PKey<Private> {
    let path = directory().join(format!("keys/{name}.pem"));
    let pem = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    PKey::private_key_from_pem(&pem).expect("a key")
}

/// What is published of a key.
pub fn published(name: &str) -> String {
    let key = key(name);
    if key.id() == Id::ED25519 {
        format!("v=DKIM1; k=ed25519; p={}", base64(&key.raw_public_key().expect("a public key")))
    } else {
        format!("v=DKIM1; k=rsa; p={}", base64(&key.public_key_to_der().expect("a public key")))
    }
}

/// Text in quoted-printable (RFC 2045 section 6.7), each line short enough.
pub fn quoted_printable(text: &[u8]) -> String {
    let mut lines = String::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut width = 0;
        for (at, byte) in line.iter().enumerate() {
            let plain = (0x21..=0x7e).contains(byte) && *byte != b'=' || *byte == b' ' && at + 1 < line.len();
            let written = if plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
            if width + written.len() > 72 {
                lines.push_str("=\n");
                width = 0;
            }
            width += written.len();
            lines.push_str(&written);
        }
        lines.push('\n');
    }
    lines
}

/// Bytes in base64, each line short enough.
pub fn base64_lines(bytes: &[u8]) -> String {
    base64(bytes).as_bytes().chunks(72).fold(String::new(), |lines, line| lines + &String::from_utf8_lossy(line) + "\n")
}

/// Text as the value of a header in base64 (RFC 2047).
pub fn encoded_word(charset: &str, text: &[u8]) -> String {
    format!("=?{charset}?B?{}?=", base64(text))
}

/// Text in the charsets of one byte that offices in central Europe still use.
pub fn in_charset(charset: &str, text: &str) -> Vec<u8> {
    let czech: &[(char, u8, u8)] = &[
        ('á', 0xe1, 0xe1),
        ('č', 0xe8, 0xe8),
        ('ď', 0xef, 0xef),
        ('é', 0xe9, 0xe9),
        ('ě', 0xec, 0xec),
        ('í', 0xed, 0xed),
        ('ň', 0xf2, 0xf2),
        ('ó', 0xf3, 0xf3),
        ('ř', 0xf8, 0xf8),
        ('š', 0xb9, 0x9a),
        ('ť', 0xbb, 0x9d),
        ('ú', 0xfa, 0xfa),
        ('ů', 0xf9, 0xf9),
        ('ý', 0xfd, 0xfd),
        ('ž', 0xbe, 0x9e),
        ('Č', 0xc8, 0xc8),
        ('Ž', 0xae, 0x8e),
        ('Š', 0xa9, 0x8a),
    ];
    let byte = |letter: char| match charset {
        _ if letter.is_ascii() => letter as u8,
        "utf-8" => unreachable!("handled below"),
        "iso-8859-1" | "iso-8859-15" | "windows-1252" => u8::try_from(u32::from(letter)).expect("a letter of western Europe"),
        "iso-8859-2" => czech.iter().find(|(other, ..)| *other == letter).expect("a letter of the table").1,
        "windows-1250" => czech.iter().find(|(other, ..)| *other == letter).expect("a letter of the table").2,
        other => panic!("no such charset: {other}"),
    };
    if charset == "utf-8" { text.as_bytes().to_vec() } else { text.chars().map(byte).collect() }
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    hash(MessageDigest::sha256(), bytes).expect("a digest").to_vec()
}

/// A header as it is signed (RFC 6376 sections 3.4.1 and 3.4.2), without its line end.
fn canonical(name: &str, value: &str, simple: bool) -> Vec<u8> {
    if simple {
        return format!("{name}: {value}").into_bytes();
    }
    let words: Vec<&str> = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
    format!("{}:{}", name.to_lowercase(), words.join(" ")).into_bytes()
}

/// RFC 6376 section 3.4.3.
fn simple_body(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    while body.ends_with(b"\r\n") {
        body.truncate(body.len() - 2);
    }
    body.extend(b"\r\n");
    body
}

/// RFC 6376 section 3.4.4.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut kept: Vec<u8> = Vec::new();
        for byte in line {
            match byte {
                b' ' | b'\t' if kept.last() == Some(&b' ') => {}
                b' ' | b'\t' => kept.push(b' '),
                byte => kept.push(*byte),
            }
        }
        while kept.last() == Some(&b' ') {
            kept.pop();
        }
        lines.push(kept);
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect()
}
