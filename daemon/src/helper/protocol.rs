//! What the daemon and obnova-helper say to each other over their socket pair. Both ends share these types; neither the
//! starting nor the doing is in here.
//!
//! The daemon sends one frame with a [`Request`] as JSON and one frame with the raw bytes of each secret that the request
//! announces, in the order of its fields. The answer is one frame with `Result<T, HelperError>` as JSON, `T` being what the
//! request's documentation names. Then the helper exits.

use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use obnova_core::Place;
use obnova_core::revocation::Reach;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cards::step::{CardError, CardStep};
pub use crate::companions::Bytes;

/// The largest file in bytes that the helper reads. The biggest PKCS#12 files in use have a few dozen kilobytes.
pub const MAX_FILE: u64 = 1024 * 1024;

/// A SHA-256 digest.
pub type Sha256 = [u8; 32];

/// One operation. `secret: true` announces that a frame with a secret follows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Open a PKCS#12 file; its password always follows. Answer: [`Opened`].
    OpenPkcs12 {
        /// The file.
        path: FilePath,
    },
    /// Look at the first private key in a PEM or DER file. Answer: [`InspectedKey`].
    InspectKey {
        /// The file; it may hold certificates, too.
        path: FilePath,
        /// Whether the key's passphrase follows.
        secret: bool,
    },
    /// Make a key pair and write it to a new file. Answer: [`Bytes`], the `SubjectPublicKeyInfo`.
    Generate {
        /// What kind of key.
        algorithm: KeyAlgorithm,
        /// The file, which must not exist yet.
        path: FilePath,
        /// Whether a passphrase follows, with which the private key is to be encrypted.
        secret: bool,
    },
    /// Read the public half of a file that [`Generate`](Self::Generate) wrote. Answer: `Option<`[`Bytes`]`>`, the
    /// `SubjectPublicKeyInfo`; `None` if there is no such file.
    PublicHalf {
        /// The file.
        path: FilePath,
    },
    /// Sign a message. Answer: [`Bytes`], the signature.
    Sign {
        /// The file with the key: PEM, DER or PKCS#12.
        key: FilePath,
        /// What is to be signed.
        message: Bytes,
        /// The `SubjectPublicKeyInfo` that the key must have.
        spki: Bytes,
        /// Whether the key's passphrase follows.
        secret: bool,
    },
    /// Verify that a certificate is strictly encoded and that its issuer has signed it. Answer: `()`.
    Judge {
        /// The certificate (DER).
        certificate: Bytes,
        /// The issuer's certificate (DER); the same one where it is self-signed.
        issuer: Bytes,
    },
    /// Verify that a certificate is strictly encoded and that a chain leads from it to one that is trusted. Answer: `()`.
    Chain {
        /// The certificate (DER).
        certificate: Bytes,
        /// Others (DER) of which the chain may be made. They are not trusted.
        links: Vec<Bytes>,
        /// Those that are trusted (DER), be they roots or not.
        anchors: Vec<Bytes>,
        /// When all of them must be valid.
        at: DateTime<Utc>,
    },
    /// Find the best chain above a certificate. Answer: [`Traced`].
    Trace {
        /// The certificate (DER).
        certificate: Bytes,
        /// Others (DER) of which the chain may be made. They are not trusted.
        links: Vec<Bytes>,
        /// Those that are trusted (DER) besides what this machine trusts.
        anchors: Vec<Bytes>,
        /// When it should hold.
        at: DateTime<Utc>,
    },
    /// Make the question whether a certificate has been revoked (RFC 6960). Answer: [`Bytes`], the `OCSPRequest`.
    OcspRequest {
        /// The certificate (DER).
        certificate: Bytes,
        /// Its issuer's certificate (DER).
        issuer: Bytes,
    },
    /// Judge what was answered. Answer: `Result<`[`Finding`](obnova_core::revocation::Finding)`, `[`Why`](obnova_core::revocation::Why)`>`.
    OcspAnswer {
        /// The `OCSPResponse`.
        answer: Bytes,
        /// The certificate (DER).
        certificate: Bytes,
        /// Its issuer's certificate (DER).
        issuer: Bytes,
        /// When.
        at: DateTime<Utc>,
    },
    /// Look a certificate up in a list of revoked ones (RFC 5280 section 5). Answer: as [`OcspAnswer`](Self::OcspAnswer).
    RevocationList {
        /// The list (DER or PEM).
        list: Bytes,
        /// The certificate (DER).
        certificate: Bytes,
        /// Its issuer's certificate (DER).
        issuer: Bytes,
        /// When.
        at: DateTime<Utc>,
    },
    /// Verify a signature that somebody else made. Answer: `()`.
    Verify {
        /// The signer's `SubjectPublicKeyInfo`.
        spki: Bytes,
        /// What was signed.
        message: Bytes,
        /// The signature, as [`Sign`](Self::Sign) makes them.
        signature: Bytes,
    },
    /// Make up something that only the holder of a key can open. Answer: [`Challenge`].
    Challenge {
        /// The key's `SubjectPublicKeyInfo`.
        spki: Bytes,
    },
    /// Prove that a key belongs to a certificate, signs, and (RSA) decrypts. Answer: `()`.
    Trial {
        /// The file with the key.
        key: FilePath,
        /// The certificate (DER).
        certificate: Bytes,
        /// Whether the key's passphrase follows.
        secret: bool,
    },
    /// Make the certificate of a certification authority for its own key. Answer: [`Bytes`], the certificate (DER).
    Establish {
        /// The file with the key, which is not encrypted.
        key: FilePath,
        /// The common name.
        name: String,
        /// How long it is valid.
        validity: Validity,
    },
    /// Check a signed request as an authority does, and make the certificate that it asks for. Answer: [`Issued`].
    Issue {
        /// The request (CMS around PKCS #10).
        message: Bytes,
        /// The file with the authority's key, which is not encrypted.
        key: FilePath,
        /// The authority's certificate (DER).
        authority: Bytes,
        /// How long the new certificate is valid.
        validity: Validity,
    },
    /// Write key and certificate to a staged file, and prove it by opening it. Answer: [`Sha256`] of the file.
    Package {
        /// What goes where.
        product: Product,
        /// Whether the passphrase of the key file follows (first).
        opens: bool,
        /// Whether the secret that is to protect the product follows (second). PKCS#12 needs one.
        seals: bool,
    },
    /// Copy a staged file to its target, never over another file. Answer: `()`.
    Place {
        /// The staged file.
        staged: FilePath,
        /// Where the copy goes; must not exist.
        target: FilePath,
        /// The permissions of the target, whatever the umask.
        mode: u32,
        /// What the staged file must be.
        sha256: Sha256,
    },
    /// Put staged files in the place of others: copy each old one, then exchange all together. Answer: `()`.
    Replace {
        /// The files, in the order in which they are exchanged.
        files: Vec<Replacement>,
    },
    /// The digest of a file. Answer: `Option<`[`Sha256`]`>`, `None` if there is no such file.
    Digest {
        /// The file.
        path: FilePath,
    },
    /// Look at all tokens that a PKCS#11 module shows. Answer: `Vec<`[`Card`](obnova_core::card::Card)`>`.
    Tokens {
        /// The module's file.
        module: FilePath,
    },
    /// Wait until a PKCS#11 module shows other tokens than these. Answer: `bool`, at once `false` if it would never tell: its
    /// slots keep their tokens, or are readers of the card service, which tells by itself.
    TokensMoved {
        /// The module's file.
        module: FilePath,
        /// The tokens that it showed last.
        shown: Vec<Place>,
        /// The readers of the card service.
        readers: Vec<String>,
    },
    /// One step at a token. Answer: [`CardAnswer`](crate::cards::step::CardAnswer).
    Token {
        /// The module's file.
        module: FilePath,
        /// The token, of which the module must show just one.
        place: Place,
        /// The step.
        step: CardStep,
        /// Whether the PIN (to unblock: the PUK) follows (first).
        pin: bool,
        /// Whether the new PIN follows (second).
        new_pin: bool,
        /// Whether the first secret may be sent though it would be blocked if it were wrong.
        last_try: bool,
    },
    /// Reset every card that can be shared, since one of them may stand open. Answer: `()`.
    ResetCards {},
}

impl Request {
    /// How many frames with secrets follow.
    pub fn secrets(&self) -> usize {
        match self {
            Self::OpenPkcs12 { .. } => 1,
            Self::InspectKey { secret, .. }
            | Self::Generate { secret, .. }
            | Self::Sign { secret, .. }
            | Self::Trial { secret, .. } => usize::from(*secret),
            Self::Package { opens, seals, .. } => usize::from(*opens) + usize::from(*seals),
            Self::Token { pin, new_pin, .. } => usize::from(*pin) + usize::from(*new_pin),
            Self::PublicHalf { .. }
            | Self::Judge { .. }
            | Self::Chain { .. }
            | Self::Trace { .. }
            | Self::OcspRequest { .. }
            | Self::OcspAnswer { .. }
            | Self::RevocationList { .. }
            | Self::Verify { .. }
            | Self::Challenge { .. }
            | Self::Establish { .. }
            | Self::Issue { .. }
            | Self::Place { .. }
            | Self::Replace { .. }
            | Self::Digest { .. }
            | Self::Tokens { .. }
            | Self::TokensMoved { .. }
            | Self::ResetCards {} => 0,
        }
    }
}

/// A staged file that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The staged file.
    pub staged: FilePath,
    /// What it must be.
    pub sha256: Sha256,
    /// The file whose place it takes; its owner and permissions are kept.
    pub target: FilePath,
    /// What that one must be, unless the staged one stands there already.
    pub old_sha256: Sha256,
    /// Where the copy of it goes; one that is there already must be just that.
    pub copy: FilePath,
}

/// The kinds of key that are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say all")]
pub enum KeyAlgorithm {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
}

/// What a PKCS#12 file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Every certificate; the one that belongs to the key comes first.
    pub certificates: Vec<OpenedCertificate>,
    /// The `SubjectPublicKeyInfo` (DER) of the (first) private key, if there is one.
    pub key: Option<Bytes>,
}

/// A certificate in a PKCS#12 file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedCertificate {
    /// The certificate (DER).
    pub der: Bytes,
    /// Whether the file holds its private key.
    pub has_key: bool,
    /// The name that the file gives it.
    pub friendly_name: Option<String>,
}

/// A private key in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedKey {
    /// Its `SubjectPublicKeyInfo` (DER).
    pub spki: Bytes,
    /// Whether it took the secret to read it.
    pub encrypted: bool,
}

/// The chain above a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// The certificates (DER), its issuer first. Each has signed the one before it.
    pub chain: Vec<Bytes>,
    /// How far it is known.
    pub reach: Reach,
    /// The last second at which it holds, by this chain or one that follows it, and the name of the issuer that ends then.
    pub until: Option<(DateTime<Utc>, String)>,
}

/// What only the holder of a key can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// RSA: random bytes, encrypted by PKCS #1 v1.5. Elliptic curves: the uncompressed point of a key of one moment.
    pub ciphertext: Bytes,
    /// The random bytes, or the shared secret (the x coordinate).
    pub expected: Bytes,
}

/// A file to be made of a key and its certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Product {
    /// The file with the private key.
    pub key: FilePath,
    /// The certificate (DER) that belongs to it.
    pub certificate: Bytes,
    /// Further certificates (DER), issuer by issuer. Only a [`Format::PemKey`] leaves them out.
    pub chain: Vec<Bytes>,
    /// What a PKCS#12 calls key and certificate.
    pub friendly_name: Option<String>,
    /// The staged file. It is ours: an older one is replaced.
    pub out: FilePath,
    /// How it is written.
    pub format: Format,
}

/// How long a certificate is valid, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The first valid second.
    pub not_before: DateTime<Utc>,
    /// The last valid second.
    pub not_after: DateTime<Utc>,
}

/// What came of a signed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The new certificate (DER).
    pub certificate: Bytes,
    /// The certificate (DER) that it renews, and whose key has signed the request.
    pub renews: Bytes,
}

/// How a [`Product`] is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As OpenSSL 3 writes it: AES-256-CBC, MAC with SHA-256 (RFC 7292, RFC 9579 not used).
    Pkcs12,
    /// The private key alone: PKCS#8 in PEM, encrypted if there is a secret.
    PemKey,
    /// Certificate, chain, private key, all PEM in one file.
    PemBoth,
}

/// Why an operation of the helper failed. What travels over the socket are the variants up to
/// [`Refused`](Self::Refused); the others arise in the daemon. `detail` is technical English without secrets.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields repeat what the variant's documentation says")]
pub enum HelperError {
    /// The file is sound, but the secret does not open it.
    #[error("the secret is wrong")]
    WrongSecret,
    /// The key is encrypted, and no secret came along.
    #[error("a secret is needed")]
    SecretNeeded,
    /// The secret cannot protect this kind of file: it has a zero byte or is not UTF-8; or a PKCS#12 was to have none.
    #[error("the secret cannot be used for this kind of file")]
    UnfitSecret,
    /// The file has no private key.
    #[error("there is no private key in the file")]
    NoKey,
    /// The content is not what it should be: truncated, garbage, or not strictly encoded.
    #[error("broken: {detail}")]
    Broken { detail: String },
    /// The content may be sound, but its algorithm or form is none that we (or this OpenSSL) know.
    #[error("not supported: {detail}")]
    Unsupported { detail: String },
    /// The key belongs to another certificate or public key.
    #[error("the private key does not match")]
    KeyMismatch,
    /// The certificate was not signed by that issuer; `detail` says whether name or signature tells.
    #[error("not issued by that issuer: {detail}")]
    NotIssued { detail: String },
    /// The signed request does not prove what it must, or asks for more than is given.
    #[error("the request is not acceptable: {detail}")]
    Unacceptable { detail: String },
    /// The key's trial signature does not verify or its trial decryption gives other bytes.
    #[error("the trial failed: {detail}")]
    TrialFailed { detail: String },
    /// The file is not the one whose digest was given, or came back differently from how it was written.
    #[error("the content is not what was expected")]
    Changed,
    /// More than `limit` bytes.
    #[error("larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// A directory, FIFO, socket, device, or a loop of links.
    #[error("not a regular file")]
    NotRegular,
    /// The file, or the directory that it is to be in, does not exist.
    #[error("no such file or directory")]
    NotFound,
    /// The target exists; it was left alone.
    #[error("there is a file of that name already")]
    AlreadyThere,
    /// No space, or the quota is used up.
    #[error("no space left")]
    DiskFull,
    /// The file system is mounted read-only.
    #[error("the file system is read-only")]
    ReadOnly,
    /// File permissions or a sandbox forbid it.
    #[error("permission denied")]
    Denied,
    /// Any other failure of the file system.
    #[error("input or output failed: {detail}")]
    Io { detail: String },
    /// OpenSSL failed where no input explains it.
    #[error("OpenSSL failed: {detail}")]
    Crypto { detail: String },
    /// No memory could be locked for the secret.
    #[error("no memory for the secret: {detail}")]
    Memory { detail: String },
    /// A token did not do it.
    #[error(transparent)]
    Card(CardError),
    /// The helper did not understand the request: programs of different versions.
    #[error("request refused: {detail}")]
    Refused { detail: String },

    /// The helper could not be started.
    #[error("cannot start {}", .program.display())]
    #[serde(skip)]
    Start { program: PathBuf, source: io::Error },
    /// No answer in time; the helper was killed. Whether the operation happened has to be asked of the world.
    #[error("no answer within {after:?}")]
    #[serde(skip)]
    Deadline { after: Duration },
    /// The helper ended without an answer. Whether the operation happened has to be asked of the world.
    #[error("the helper ended without an answer ({status})")]
    #[serde(skip)]
    Crashed { status: ExitStatus },
    /// The exchange with the running helper failed; it was killed.
    #[error("the exchange with the helper failed")]
    #[serde(skip)]
    Exchange(#[source] io::Error),
}

/// A path, which on Linux is bytes and not always UTF-8; travels as base64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilePath(pub PathBuf);

impl From<&Path> for FilePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(self.0.as_os_str().as_bytes()))
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(OsString::from_vec(Bytes::deserialize(deserializer)?.0).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_no_text_survive() {
        let path = FilePath(OsString::from_vec(b"/tmp/kl\xed\xe8.p12".to_vec()).into());
        let json = serde_json::to_string(&path).expect("JSON");
        assert_eq!(serde_json::from_str::<FilePath>(&json).expect("path"), path);
    }

    #[test]
    fn failures_of_the_daemon_cannot_come_from_outside() {
        for name in ["start", "deadline", "crashed", "exchange"] {
            let json = format!(r#"{{"failure":"{name}"}}"#);
            assert!(serde_json::from_str::<HelperError>(&json).is_err(), "{name}");
        }
        let json = serde_json::to_string(&HelperError::TooLarge { limit: 7 }).expect("JSON");
        assert!(matches!(serde_json::from_str(&json), Ok(HelperError::TooLarge { limit: 7 })));
        let json = serde_json::to_string(&HelperError::Card(CardError::WrongPin { left: Some(2) })).expect("JSON");
        assert!(matches!(serde_json::from_str(&json), Ok(HelperError::Card(CardError::WrongPin { left: Some(2) }))), "{json}");
    }
}
