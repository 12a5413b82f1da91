//! The settings of Thunderbird (`prefs.js`) that say which certificate an address uses: read, and exchanged one for another. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use obnova_core::Certificate;

/// A certificate by DER of its issuer's name and the content octets of its serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    issuer: Vec<u8>,
    serial: Vec<u8>,
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Signing.
    Sign,
    /// Being written to, and decrypting.
    Decrypt,
}

/// Which certificate an address uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) address: String,
    pub(super) purpose: Purpose,
    pub(super) certificate: Named,
}

impl Purpose {
    /// The word for it in views.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Sign => "signing_cert_dbkey",
            Self::Decrypt => "encryption_cert_dbkey",
        }
    }
}

impl Named {
    /// That of a certificate (DER).
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (issuer, serial) = Certificate::issuer_and_serial(certificate).ok()?;
        Some(Self { issuer, serial })
    }

    /// Whether it names this certificate.
    pub(crate) fn is(&self, certificate: &Certificate) -> bool {
        let issuer = Certificate::name_text(&self.issuer);
        self.number() == certificate.serial() && issuer.is_ok_and(|issuer| issuer == certificate.issuer())
    }

    /// The serial number in lower-case hex.
    pub(crate) fn serial_hex(&self) -> String {
        self.number().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn number(&self) -> &[u8] {
        let zeros = self.serial.iter().take_while(|byte| **byte == 0).count();
        &self.serial[zeros..]
    }

    /// As Mozilla's programs write it (`nsNSSCertificate::GetDbKey`): two numbers that are zero, the lengths of serial number and
    /// issuer, each of four bytes, then both; in Base64.
    fn database_key(&self) -> Option<String> {
        let length = |bytes: &[u8]| Some(u32::try_from(bytes.len()).ok()?.to_be_bytes());
        let parts = [&[0; 8][..], &length(&self.serial)?, &length(&self.issuer)?, &self.serial, &self.issuer];
        Some(BASE64_STANDARD.encode(parts.concat()))
    }

    fn from_database_key(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        let (lengths, rest) = bytes.split_at_checked(16)?;
        let length = |at: usize| usize::try_from(u32::from_be_bytes(lengths[at..at + 4].try_into().ok()?)).ok();
        let (serial, issuer) = rest.split_at_checked(length(8)?)?;
        (issuer.len() == length(12)?).then(|| Self { issuer: issuer.to_vec(), serial: serial.to_vec() })
    }
}

/// Which certificate each address uses.
pub(super) fn choices(text: &str) -> Vec<Choice> {
    let settings: Vec<(&str, &str)> = text.lines().filter_map(setting).collect();
    let choice = |(key, value): &(&str, &str)| {
        let (identity, purpose) = purpose_of(key)?;
        let address = settings.iter().find(|(key, _)| key.strip_suffix(".useremail") == Some(identity))?.1;
        Some(Choice { address: address.to_owned(), purpose, certificate: Named::from_database_key(value)? })
    };
    settings.iter().filter_map(choice).collect()
}

/// The settings with each certificate exchanged for the one that takes its place; `None` if none of them is used.
pub(super) fn replaced(text: &str, changes: &[(Named, Named)]) -> Option<String> {
    let mut any = false;
    let exchange = |line: &str| {
        let (key, value) = setting(line)?;
        purpose_of(key)?;
        let used = Named::from_database_key(value)?;
        let (_, new) = changes.iter().find(|(old, _)| *old == used)?;
        Some(line.replace(value, &new.database_key()?))
    };
    let new: String = text
        .split_inclusive('\n')
        .map(|line| match exchange(line) {
            Some(line) => {
                any = true;
                line
            }
            None => line.to_owned(),
        })
        .collect();
    any.then_some(new)
}

/// The identity (`mail.identity.id1`) and the purpose of a setting that names a certificate.
fn purpose_of(key: &str) -> Option<(&str, Purpose)> {
    let of = |purpose: Purpose| Some((key.strip_suffix(purpose.key())?.strip_suffix('.')?, purpose));
    let found = of(Purpose::Sign).or_else(|| of(Purpose::Decrypt))?;
    found.0.starts_with("mail.identity.").then_some(found)
}

/// Name and text of `user_pref("NAME", "TEXT");`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim().strip_prefix("user_pref(\"")?.strip_suffix("\");")?;
    inner.split_once("\", \"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(serial: &[u8]) -> Named {
        Named { issuer: b"\x30\x00".to_vec(), serial: serial.to_vec() }
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let named = named(&[0, 200, 1]);
        let key = named.database_key().expect("short");
        assert_eq!(key, "AAAAAAAAAAAAAAADAAAAAgDIATAA");
        assert_eq!(Named::from_database_key(&key), Some(named.clone()));
        assert_eq!(named.serial_hex(), "c801");
        for wrong in ["", "AAAA", "AAAAAAAAAAAAAAADAAAAAwDIATAA", "AAAAAAAAAAD/////AAAAAgDIATAA", "%"] {
            assert_eq!(Named::from_database_key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_used_the_old_is_exchanged() {
        let (old, new, other) = (named(&[1]), named(&[2]), named(&[3]));
        let key = |named: &Named| named.database_key().expect("short");
        let text = format!(
            "// Mozilla\nuser_pref(\"mail.identity.id1.useremail\", \"anna@example.org\");\n\
             user_pref(\"mail.identity.id1.signing_cert_dbkey\", \"{0}\");\n\
             user_pref(\"mail.identity.id1.encryption_cert_dbkey\", \"{1}\");\nuser_pref(\"note\", \"{0}\");\n",
            key(&old),
            key(&other),
        );
        let changed = replaced(&text, &[(old.clone(), new.clone())]).expect("used");
        assert_eq!(replaced(&changed, &[(old.clone(), new.clone())]), None, "once");
        let uses = |purpose, certificate| Choice { address: "anna@example.org".into(), purpose, certificate };
        assert_eq!(choices(&changed), [uses(Purpose::Sign, new), uses(Purpose::Decrypt, other)]);
        assert!(changed.contains(&format!("user_pref(\"note\", \"{}\");", key(&old))), "{changed}");
    }
}
