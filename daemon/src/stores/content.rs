//! What the bytes of a file say: the certificates in it, and whether a private key is among them. Owns the framing of PEM
//! (RFC 7468) and DER; keys are recognised by label and shape and never decoded. Opening files is not in here.

use std::sync::Arc;

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use obnova_core::certificate::{Certificate, LONGEST};

/// How many certificates of one file are looked at; the rest is passed over. System-wide bundles have about 150.
pub(super) const MOST: usize = 256;

/// How much of a file in a directory is looked at to tell whether the rest may matter, in bytes: text in front of the first
/// block, such as `openssl x509 -text` writes it, has a few kilobytes.
pub(super) const HEAD: usize = 16 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The tag of a DER SEQUENCE, with which every certificate begins.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Padding is often lost where people copy blocks by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The certificates that could be read, with their DER, in the order of the file; at most [`MOST`].
    pub(super) certificates: Vec<(Arc<Certificate>, Vec<u8>)>,
    /// Whether there is something that is labelled or shaped as a private key, encrypted or not.
    pub(super) key: bool,
    /// Whether something is labelled as a certificate, be it broken.
    pub(super) labelled: bool,
    /// Why the first certificate that could not be read could not; technical English.
    pub(super) fault: Option<String>,
}

/// Why a file's bytes give no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContentError {
    #[error("no certificate in it")]
    Empty,
    #[error("a block without its end")]
    Unended,
    #[error("a block that is too long for a certificate")]
    TooLong,
    #[error("not base64: {0}")]
    NotBase64(#[source] base64::DecodeError),
}

/// Whether a file that begins like this may hold certificates or keys.
pub(super) fn is_promising(head: &[u8]) -> bool {
    head.first() == Some(&SEQUENCE) || head.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// Whether these bytes hold a private key, by its PEM label or DER shape.
pub(super) fn holds_key(bytes: &[u8]) -> bool {
    if bytes.first() == Some(&SEQUENCE) {
        return is_key_shaped(bytes);
    }
    lines(bytes).filter_map(|line| label(line, BEGIN)).any(is_key_label)
}

impl Contents {
    /// Reads PEM or DER. Whatever stands around the blocks is passed over, and so are unfinished blocks. Takes time and
    /// memory in proportion to the length.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        if bytes.first() == Some(&SEQUENCE) {
            if is_key_shaped(bytes) {
                contents.key = true;
            } else {
                contents.take(bytes);
            }
        } else {
            contents.read_pem(bytes);
        }
        contents
    }

    fn read_pem(&mut self, bytes: &[u8]) {
        let mut block: Option<(Label, Vec<u8>)> = None;
        for line in lines(bytes) {
            if let Some(label) = label(line, BEGIN) {
                if block.is_some() {
                    self.blame(&ContentError::Unended);
                }
                self.key |= is_key_label(label);
                block = Label::of(label).map(|label| (label, Vec::new()));
                self.labelled |= block.is_some();
            } else if line.starts_with(END) {
                if let Some((label, text)) = block.take() {
                    self.close(label, &text);
                }
                if self.certificates.len() == MOST && self.key {
                    return;
                }
            } else if let Some((_, text)) = &mut block {
                text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
                if text.len() > LONGEST * 2 {
                    self.blame(&ContentError::TooLong);
                    block = None;
                }
            }
        }
        if block.is_some() {
            self.blame(&ContentError::Unended);
        }
    }

    fn close(&mut self, label: Label, text: &[u8]) {
        match BASE64.decode(text) {
            Ok(der) => self.take(match label {
                Label::Certificate => &der,
                Label::Trusted => first_element(&der),
            }),
            Err(error) => self.blame(&ContentError::NotBase64(error)),
        }
    }

    fn take(&mut self, der: &[u8]) {
        if self.certificates.len() == MOST {
            return;
        }
        match Certificate::from_der(der) {
            Ok(certificate) => self.certificates.push((Arc::new(certificate), der.to_vec())),
            Err(error) => self.blame(&error),
        }
    }

    fn blame(&mut self, fault: &impl std::error::Error) {
        self.fault.get_or_insert_with(|| fault.to_string());
    }
}

/// The labels under which certificates stand: RFC 7468 section 5, and OpenSSL's own that has settings of trust behind
/// the certificate.
#[derive(Clone, Copy)]
enum Label {
    Certificate,
    Trusted,
}

impl Label {
    fn of(label: &[u8]) -> Option<Self> {
        match label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => Some(Self::Certificate),
            b"TRUSTED CERTIFICATE" => Some(Self::Trusted),
            _ => None,
        }
    }
}

fn is_key_label(label: &[u8]) -> bool {
    label.ends_with(b"PRIVATE KEY")
}

/// The label of a boundary line.
fn label<'a>(line: &'a [u8], boundary: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(boundary)?.strip_suffix(DASHES)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii)
}

/// Whether a DER SEQUENCE begins as `PrivateKeyInfo`, `RSAPrivateKey` and `ECPrivateKey` do (a version number) or as
/// `EncryptedPrivateKeyInfo` does (an algorithm). RFC 5208, RFC 8017 appendix A.1.2, RFC 5915. A PKCS#12 begins with a
/// version number, too, but its is 3.
fn is_key_shaped(der: &[u8]) -> bool {
    let Some(content) = content(der) else { return false };
    match content {
        [INTEGER, 1, 0 | 1, ..] => true,
        [SEQUENCE, ..] => self::content(content).is_some_and(|inner| inner.first() == Some(&OBJECT_IDENTIFIER)),
        _ => false,
    }
}

/// What stands behind tag and length of a DER element, to the end of the bytes.
fn content(der: &[u8]) -> Option<&[u8]> {
    der.get(header(der)?.0..)
}

/// The first DER element alone, or all if it is none.
fn first_element(der: &[u8]) -> &[u8] {
    header(der).and_then(|(start, length)| der.get(..start.checked_add(length)?)).unwrap_or(der)
}

/// Lengths of the header and of the content of a DER element (X.690 section 8.1.3), up to 3 bytes of length.
fn header(der: &[u8]) -> Option<(usize, usize)> {
    let first = *der.get(1)?;
    if first < 0x80 {
        return Some((2, first.into()));
    }
    let count = usize::from(first & 0x7f);
    let bytes = der.get(2..2 + count).filter(|bytes| (1..=3).contains(&bytes.len()))?;
    Some((2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))))
}

#[cfg(test)]
mod tests;
