//! What an authority has issued for keys that lie on cards: a qualified and a commercial certificate of one person. Which card they
//! go to is the tests'.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Name, X509NameBuilder};

use crate::{KeyKind, Made};

/// What a key may be used for, as its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Signatures that bind: nonRepudiation.
    Binding,
    /// Logging in alone: digitalSignature.
    Signing,
    /// Logging in and, with RSA, opening mail: digitalSignature and keyEncipherment.
    Everyday,
    /// Logging in and, with elliptic curves, opening mail: digitalSignature and keyAgreement.
    Agreeing,
}

/// An authority whose certificates the programmes in `fixtures/programmes` renew.
pub struct CardAuthority(Made);

impl CardAuthority {
    /// With a new key.
    #[expect(clippy::new_without_default, reason = "a key is made")]
    pub fn new() -> Self {
        Self::named("Obnova simulated authority")
    }

    /// With a new key and another name.
    pub fn named(common_name: &str) -> Self {
        Self::ending(common_name, 3650)
    }

    /// The same, with so many days of its own life left.
    pub fn ending(common_name: &str, days_left: i64) -> Self {
        let key = KeyKind::P256.generate();
        let name = name(&[("CN", common_name)]);
        let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
        let mut builder = began(&name, &name, &public, 3650, days_left);
        builder.append_extension(BasicConstraints::new().critical().ca().build().expect("an extension")).expect("appended");
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().expect("an extension");
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).expect("an extension");
        for extension in [usage, identifier] {
            builder.append_extension(extension).expect("appended");
        }
        builder.sign(&key, MessageDigest::sha256()).expect("signed");
        Self(Made { certificate: builder.build(), key })
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &X509 {
        &self.0.certificate
    }

    /// Its key.
    pub fn key(&self) -> &PKey<Private> {
        &self.0.key
    }

    /// A certificate of a year's life, of which so many days are left.
    pub fn issue(&self, holder: &str, key: &PKey<Public>, usage: Use, days_left: i64) -> X509 {
        let subject = name(&[("C", "CZ"), ("CN", holder)]);
        let mut builder = began(&subject, self.0.certificate.subject_name(), key, 365, days_left);
        let mut bits = KeyUsage::new();
        bits.critical();
        match usage {
            Use::Binding => bits.non_repudiation(),
            Use::Signing => bits.digital_signature(),
            Use::Everyday => bits.digital_signature().key_encipherment(),
            Use::Agreeing => bits.digital_signature().key_agreement(),
        };
        let address = SubjectAlternativeName::new().email("anna@example.org").build(&builder.x509v3_context(None, None));
        for extension in [BasicConstraints::new().critical().build(), bits.build(), address] {
            builder.append_extension(extension.expect("an extension")).expect("appended");
        }
        builder.sign(&self.0.key, MessageDigest::sha256()).expect("signed");
        builder.build()
    }
}

pub(crate) fn name(parts: &[(&str, &str)]) -> X509Name {
    let mut name = X509NameBuilder::new().expect("a name");
    for (kind, value) in parts {
        name.append_entry_by_text(kind, value).expect("a part");
    }
    name.build()
}

/// A certificate that is begun: everything but extensions and signature.
pub(crate) fn began(
    subject: &openssl::x509::X509NameRef,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Public>,
    life: i64,
    days_left: i64,
) -> openssl::x509::X509Builder {
    const DAY: i64 = 24 * 60 * 60;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
    let time = |seconds: i64| Asn1Time::from_unix(now + seconds).expect("a time");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::ONE, false).expect("a random number");
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("a version");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a serial")).expect("a serial");
    builder.set_subject_name(subject).expect("a subject");
    builder.set_issuer_name(issuer).expect("an issuer");
    builder.set_not_before(&time((days_left - life) * DAY)).expect("a time");
    builder.set_not_after(&time(days_left * DAY + DAY / 24)).expect("a time");
    builder.set_pubkey(key).expect("a key");
    builder
}
