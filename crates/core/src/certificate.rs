//! An X.509 certificate as far as decisions need it. Owns reading it from DER; where it was found is the world's.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

mod algorithm;
mod list;
mod name;
mod policies;
mod sources;
mod texts;

pub use algorithm::KeyAlgorithm;
pub use list::list_covers;
pub use name::{attribute_text, attribute_texts};
pub use policies::Policies;
pub use sources::Sources;
pub use texts::Texts;

/// The longest certificate that is read, in bytes of DER.
pub const LONGEST: usize = 128 * 1024;

/// A SHA-256 digest: of a certificate's DER, of a public key, of a file. Lower-case hex in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(digest: Fingerprint) -> Self {
        digest.to_string()
    }
}

/// A text that is no SHA-256 digest in hex.
#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 digest of 64 hexadecimal digits")]
pub struct NoFingerprint;

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NoFingerprint);
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex_byte(digits).ok_or(NoFingerprint)?;
        }
        Ok(Self(digest))
    }
}

/// The bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    match digits {
        [high, low] => u8::try_from(value(*high)? * 16 + value(*low)?).ok(),
        _ => None,
    }
}

/// What Obnova remembers of a certificate. Kept small: a hundred thousand of them fit into a modest process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Digest of the DER.
    pub fingerprint: Fingerprint,
    /// Digest of the `SubjectPublicKeyInfo`.
    pub public_key: Fingerprint,
    /// Digest of subject and subject alternative names together: two certificates of one holder agree in it.
    pub holder: Fingerprint,
    /// Subject, issuer, name and serial number.
    pub texts: Texts,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity (the last valid second).
    pub not_after: DateTime<Utc>,
    /// What kind of key it certifies.
    pub key: KeyAlgorithm,
    /// Basic constraints say CA:TRUE.
    pub authority: bool,
    /// The `KeyUsage` bits, bit 0 = digitalSignature (RFC 5280 section 4.2.1.3); `None` without that extension.
    pub usage: Option<u16>,
}

/// Why bytes are no certificate that we can watch.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Longer than [`LONGEST`].
    #[error("{0} bytes are more than a certificate may have")]
    TooLong(usize),
    /// Not DER, or not X.509.
    #[error("not an X.509 certificate: {0}")]
    Malformed(String),
    /// A validity that no calendar holds.
    #[error("validity outside the calendar")]
    Validity,
}

impl Certificate {
    /// Reads a DER certificate (RFC 5280). Checks no signature.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > LONGEST {
            return Err(CertificateError::TooLong(der.len()));
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed(format!("{} bytes behind its end", rest.len())));
        }
        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(CertificateError::Validity);
        let mut holder = Sha256::new_with_prefix(parsed.subject().as_raw());
        let (mut usage, mut authority, mut address) = (None, false, None);
        // Older certificates have it in the subject alone (RFC 8551 section 3).
        let mut addresses: String = parsed.subject().iter_email().filter_map(|email| line(email.as_str().ok()?)).collect();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    holder.update(extension.value);
                    addresses.extend(names.general_names.iter().filter_map(|name| match name {
                        GeneralName::RFC822Name(text) => line(text),
                        _ => None,
                    }));
                    address = names.general_names.iter().find_map(|name| match name {
                        GeneralName::RFC822Name(text) | GeneralName::DNSName(text) => Some((*text).to_owned()),
                        _ => None,
                    });
                }
                ParsedExtension::KeyUsage(bits) => usage = Some(bits.flags),
                ParsedExtension::BasicConstraints(constraints) => authority = constraints.ca,
                _ => {}
            }
        }
        let (subject, issuer) = (name::rfc4514(parsed.subject()), name::rfc4514(parsed.issuer()));
        let name = name::common(parsed.subject()).or(address);
        let serial = parsed.raw_serial();
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            public_key: Fingerprint::of(parsed.public_key().raw),
            holder: Fingerprint(holder.finalize().into()),
            texts: Texts::new(&subject, &issuer, name.as_ref().unwrap_or(&subject), &addresses, &serial[zeros..]),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            key: KeyAlgorithm::of(parsed.public_key()),
            authority,
            usage,
        })
    }

    /// The string form (RFC 4514) of a `Name` (DER).
    pub fn name_text(name: &[u8]) -> Result<String, CertificateError> {
        let (_, parsed) = X509Name::from_der(name).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        Ok(name::rfc4514(&parsed))
    }

    /// The holder of a certificate like this one (DER) whose subject is another: DER of its `Name`.
    pub fn holder_with_subject(der: &[u8], subject: &[u8]) -> Result<Fingerprint, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let mut holder = Sha256::new_with_prefix(subject);
        let names = parsed
            .extensions()
            .iter()
            .filter(|extension| matches!(extension.parsed_extension(), ParsedExtension::SubjectAlternativeName(_)));
        names.for_each(|names| holder.update(names.value));
        Ok(Fingerprint(holder.finalize().into()))
    }

    /// DER of the issuer's `Name`, and the content octets of the serial number, in the DER of a certificate: what names it among
    /// all others (RFC 5280 section 4.1.2.2).
    pub fn issuer_and_serial(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        Ok((parsed.issuer().as_raw().to_vec(), parsed.raw_serial().to_vec()))
    }

    /// DER of the `SubjectPublicKeyInfo` in the DER of a certificate.
    pub fn public_key_in(der: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        Ok(parsed.public_key().raw.to_vec())
    }

    /// What a person calls it: common name, else an address or host name, else the whole subject.
    pub fn name(&self) -> &str {
        self.texts.name()
    }

    /// Distinguished name of the subject, RFC 4514.
    pub fn subject(&self) -> &str {
        self.texts.subject()
    }

    /// Distinguished name of the issuer, RFC 4514.
    pub fn issuer(&self) -> &str {
        self.texts.issuer()
    }

    /// The addresses at which its holder gets mail, in lower case.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.texts.addresses().lines()
    }

    /// Whether its holder gets mail at this address, which is in lower case.
    pub fn has_address(&self, address: &str) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// Serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        self.texts.serial()
    }

    /// Subject and issuer are the same name.
    pub fn self_issued(&self) -> bool {
        self.texts.other_issuer().is_none()
    }

    /// The serial number as lower-case hex.
    pub fn serial_hex(&self) -> String {
        if self.serial().is_empty() { "00".into() } else { hex(self.serial()) }
    }

    /// What its `KeyUsage` says, in the words of RFC 5280 section 4.2.1.3.
    pub fn usage_names(&self) -> Vec<&'static str> {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let said = self.usage.unwrap_or_default();
        NAMES.into_iter().enumerate().filter(|(bit, _)| said & 1 << bit != 0).map(|(_, name)| name).collect()
    }

    /// Whether its key may have decrypted something: every key may, unless its `KeyUsage` excludes keyEncipherment,
    /// dataEncipherment and keyAgreement (bits 2, 3 and 4).
    pub fn may_decrypt(&self) -> bool {
        self.usage.is_none_or(|bits| bits & 0b1_1100 != 0)
    }
}

/// An address as [`Texts`] keep it.
fn line(address: &str) -> Option<String> {
    let plain = (3..=254).contains(&address.len()) && address.contains('@') && !address.contains(char::is_control);
    plain.then(|| format!("{}\n", address.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Certificate::from_der(&bytes).is_err());
        }
    }

    #[test]
    fn digests_survive_their_text() {
        let digest = Fingerprint::of(b"x");
        assert_eq!(Fingerprint::try_from(digest.to_string()).expect("hex"), digest);
        for bad in ["", "zz", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            assert!(Fingerprint::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
