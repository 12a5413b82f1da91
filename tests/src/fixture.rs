//! Certificates and keys as authorities and OpenSSL's own commands make them.

use std::path::Path;
use std::process::{Command, Stdio};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder, X509v3Context};

const DAY: i64 = 24 * 60 * 60;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with so many bits.
    Rsa(u32),
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl KeyKind {
    /// A new key of this kind.
    pub fn generate(self) -> PKey<Private> {
        let curve = |nid| {
            let group = EcGroup::from_curve_name(nid).expect("a curve");
            PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
        };
        match self {
            Self::Rsa(bits) => PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key"),
            Self::P256 => curve(Nid::X9_62_PRIME256V1),
            Self::P384 => curve(Nid::SECP384R1),
        }
    }
}

/// What a self-made certificate is to be like. Unless told otherwise: P-256, a mailbox's usages and address, of 320 days' life.
#[derive(Clone, Debug)]
pub struct Recipe {
    name: String,
    key: KeyKind,
    begins: i64,
    ends: i64,
    authority: bool,
    bare: bool,
}

impl Recipe {
    /// For this holder.
    pub fn new(name: &str) -> Self {
        let (begins, ends) = (-300 * DAY, 20 * DAY + DAY / 24);
        Self { name: name.to_owned(), key: KeyKind::P256, begins, ends, authority: false, bare: false }
    }

    /// With so many whole days left, and an hour; less than none: it has ended.
    #[must_use]
    pub fn days_left(self, days: i64) -> Self {
        self.seconds_left(days * DAY + DAY / 24)
    }

    /// With so many seconds left.
    #[must_use]
    pub fn seconds_left(mut self, seconds: i64) -> Self {
        self.ends = seconds;
        self
    }

    /// Begun so many days ago.
    #[must_use]
    pub fn begun_days_ago(mut self, days: i64) -> Self {
        self.begins = -days * DAY;
        self
    }

    /// With such a key.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// With CA:TRUE among the usual usages.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.authority = true;
        self
    }

    /// With the extensions of `openssl req -x509` as it is, which are few, and CA:TRUE.
    #[must_use]
    pub fn as_req_makes_it(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Makes it, with a new key.
    pub fn make(&self) -> Made {
        self.make_with(self.key.generate())
    }

    /// Makes it, with this key.
    pub fn make_with(&self, key: PKey<Private>) -> Made {
        let serial = serial();
        let mut builder = self.begin(&key, &serial);
        let extensions = if self.bare {
            // Its issuer, whose key it names, is itself.
            let mut issuer = self.begin(&key, &serial);
            issuer.sign(&key, MessageDigest::sha256()).expect("a signature");
            bare_extensions(&builder.x509v3_context(Some(&issuer.build()), None))
        } else {
            self.extensions(&builder.x509v3_context(None, None))
        };
        for extension in extensions {
            builder.append_extension(extension).expect("an extension");
        }
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Made { certificate: builder.build(), key }
    }

    /// Everything but the signature and the extensions that differ.
    fn begin(&self, key: &PKey<Private>, serial: &Asn1Integer) -> X509Builder {
        let mut subject = X509NameBuilder::new().expect("a name");
        subject.append_entry_by_text("C", "CZ").expect("a country");
        subject.append_entry_by_text("O", "Žluťoučký kůň, s. r. o.").expect("an organisation");
        subject.append_entry_by_text("CN", &self.name).expect("a name");
        let subject = subject.build();
        let mut builder = X509::builder().expect("a builder");
        builder.set_version(2).expect("a version");
        builder.set_serial_number(serial).expect("a serial");
        builder.set_subject_name(&subject).expect("a subject");
        builder.set_issuer_name(&subject).expect("an issuer");
        builder.set_not_before(&from_now(self.begins)).expect("a time");
        builder.set_not_after(&from_now(self.ends)).expect("a time");
        builder.set_pubkey(key).expect("a key");
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).expect("an extension");
        builder.append_extension(identifier).expect("an extension");
        builder
    }

    fn extensions(&self, context: &X509v3Context<'_>) -> Vec<X509Extension> {
        let mailbox: String = self.name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let mut constraints = BasicConstraints::new();
        constraints.critical();
        if self.authority {
            constraints.ca();
        }
        let usage = KeyUsage::new().critical().digital_signature().key_encipherment().build();
        let extended = ExtendedKeyUsage::new().email_protection().client_auth().build();
        let alternative = SubjectAlternativeName::new().email(&format!("{mailbox}@example.org")).build(context);
        [constraints.build(), usage, extended, alternative].map(|made| made.expect("an extension")).into()
    }
}

fn bare_extensions(context: &X509v3Context<'_>) -> Vec<X509Extension> {
    let identifier = AuthorityKeyIdentifier::new().keyid(true).build(context);
    let constraints = BasicConstraints::new().critical().ca().build();
    [identifier, constraints].map(|made| made.expect("an extension")).into()
}

fn serial() -> Asn1Integer {
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::ONE, false).expect("a random number");
    serial.to_asn1_integer().expect("a serial")
}

fn from_now(seconds: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Asn1Time::from_unix(now.as_secs().cast_signed() + seconds).expect("a time")
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Made {
    /// The certificate.
    pub certificate: X509,
    /// Its key.
    pub key: PKey<Private>,
}

impl Made {
    /// What is in a `.p12` with one certificate.
    pub fn read_p12(path: &Path, password: &str) -> Self {
        let package = Pkcs12::from_der(&std::fs::read(path).expect("read")).expect("a PKCS#12 file");
        let parsed = package.parse2(password).expect("the password is right");
        assert!(parsed.ca.is_none_or(|others| others.is_empty()), "one certificate is enough");
        Self { certificate: parsed.cert.expect("a certificate"), key: parsed.pkey.expect("a key") }
    }

    /// What is in two PEM files, or twice the same; the key protected by a password, if there is one.
    pub fn read_pem(certificate: &Path, key: &Path, password: Option<&str>) -> Self {
        let read = |path| std::fs::read(path).expect("read");
        let certificate = X509::from_pem(&read(certificate)).expect("a certificate");
        let key = match password {
            Some(password) => {
                assert!(PKey::private_key_from_pem_passphrase(&read(key), b"").is_err(), "the key is protected");
                PKey::private_key_from_pem_passphrase(&read(key), password.as_bytes())
            }
            None => PKey::private_key_from_pem(&read(key)),
        };
        Self { certificate, key: key.expect("a key") }
    }

    /// Whether the key is the certificate's.
    pub fn fits(&self) -> bool {
        self.key.public_eq(&self.certificate.public_key().expect("a key"))
    }

    /// Holder, names and usages as `openssl x509` prints them.
    pub fn printed(&self) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("certificate.pem");
        std::fs::write(&path, self.pem()).expect("written");
        let extensions = "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints";
        let printed = openssl(&["x509", "-in", text(&path), "-noout", "-subject", "-issuer", "-ext", extensions]);
        String::from_utf8(printed).expect("UTF-8")
    }

    /// Certificate, PEM.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    /// Certificate, DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("DER")
    }

    /// Key without protection, PEM.
    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().expect("PEM")
    }

    /// Key protected by a password, PEM.
    pub fn key_pem_protected(&self, password: &str) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), password.as_bytes()).expect("PEM")
    }

    /// SHA-256 of the certificate, lower-case hex.
    pub fn sha256(&self) -> String {
        let digest = self.certificate.digest(MessageDigest::sha256()).expect("a digest");
        digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    /// A `.p12` at this path, by `openssl pkcs12 -export` with further arguments (`-legacy`).
    pub fn write_p12(&self, path: &Path, password: &str, arguments: &[&str]) {
        let directory = tempfile::tempdir().expect("a directory");
        let (key, certificate) = (directory.path().join("key.pem"), directory.path().join("certificate.pem"));
        std::fs::write(&key, self.key_pem()).expect("written");
        std::fs::write(&certificate, self.pem()).expect("written");
        let (key, certificate, path) = (text(&key), text(&certificate), text(path));
        let password = format!("pass:{password}");
        let fixed = ["pkcs12", "-export", "-inkey", key, "-in", certificate, "-out", path, "-passout", &password];
        openssl(&[&fixed, arguments].concat());
    }
}

/// Runs `openssl`; what it prints.
pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
