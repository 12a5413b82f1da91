//! What is asked of a card within one transaction, and what it answers: the same for PIV cards and PKCS#11 tokens. Owns the
//! words; doing is `piv`'s and obnova-helper's.

use obnova_core::card::{Card, Spot};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use serde::{Deserialize, Serialize};

/// One step at a card: one transaction, at whose end nobody else can use what the PIN has opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum CardStep {
    /// Tell what is on it; needs no PIN. Answer: [`CardAnswer::Card`].
    Look {},
    /// Try the PIN, once. Answer: [`CardAnswer::Done`].
    Verify {},
    /// Make a key pair in a spot whose emptiness is proved in this very step. Answer: [`CardAnswer::PublicKey`].
    Generate {
        /// Where.
        spot: Spot,
        /// What kind.
        algorithm: KeyAlgorithm,
        /// The key whose PIN and touch policies it gets.
        like: Spot,
        /// How other programs show it, where the card keeps such a name.
        label: String,
    },
    /// Sign a message: SHA-256 (SHA-384 with a P-384 key), RSA with PKCS#1 v1.5, ECDSA as DER. Answer: [`CardAnswer::Signature`].
    Sign {
        /// The key.
        spot: Spot,
        /// DER of the `SubjectPublicKeyInfo` that must lie there.
        public_key: Bytes,
        /// What is signed.
        message: Bytes,
    },
    /// Write a certificate beside its key, and read it back. Writing what is there already changes nothing. Answer:
    /// [`CardAnswer::Done`].
    Install {
        /// Where the key is.
        spot: Spot,
        /// DER of the certificate, which must be of that key.
        certificate: Bytes,
        /// How other programs show it, where the card keeps such a name.
        label: String,
    },
    /// Decrypt (RSA, PKCS#1 v1.5) or agree (ECDH): to try a key. Answer: [`CardAnswer::Plain`], the message or the shared secret.
    Decrypt {
        /// The key.
        spot: Spot,
        /// DER of the `SubjectPublicKeyInfo` that must lie there.
        public_key: Bytes,
        /// The cipher text, or the other side's uncompressed point.
        ciphertext: Bytes,
    },
    /// Bring a new key to where programs look for it and the old one to where it still decrypts, each with its certificate, and
    /// set the Key History right. Whatever part of it has happened before is recognised by comparing public keys. Only for
    /// [`Moves`](obnova_core::card::CardKind::Moves). Answer: [`CardAnswer::Done`].
    Promote {
        /// Where the new key was made.
        from: Spot,
        /// Where the old key was, and the new one goes.
        to: Spot,
        /// Where the old key goes.
        archive: Spot,
        /// DER of the new certificate.
        new: Bytes,
        /// DER of the old certificate.
        old: Bytes,
    },
    /// Make retired keys visible to other programs (Key History) without moving any. Answer: [`CardAnswer::Done`].
    Announce {},
    /// Replace the PIN by a new one. Answer: [`CardAnswer::Done`].
    ChangePin {},
    /// Replace a forgotten or blocked PIN by means of the PUK. Answer: [`CardAnswer::Done`].
    Unblock {},
}

/// What a card answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum CardAnswer {
    /// What is on it.
    Card {
        /// The card.
        card: Box<Card>,
    },
    /// It is done.
    Done {},
    /// A new key's DER `SubjectPublicKeyInfo`.
    PublicKey {
        /// The DER.
        public_key: Bytes,
    },
    /// A signature, as X.509 has it (ECDSA: DER).
    Signature {
        /// The bytes.
        signature: Bytes,
    },
    /// What came of decrypting or agreeing.
    Plain {
        /// The bytes.
        plain: Bytes,
    },
}

/// Why a card did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum CardError {
    /// It is in no reader.
    #[error("the card is in no reader")]
    Absent {},
    /// It was pulled while it worked: what it was doing may or may not have happened.
    #[error("the card was pulled")]
    Removed {},
    /// Another process holds it.
    #[error("the card is held by {program:?}")]
    Busy {
        /// Which, where it can be told.
        program: Option<String>,
    },
    /// Only the session in front may use the reader.
    #[error("the reader is for the session in front")]
    NotInFront {},
    /// No pcscd, or it went away.
    #[error("no card service: {detail}")]
    NoService {
        /// What was said.
        detail: String,
    },
    /// A PIN is needed and was not given.
    #[error("a PIN is needed")]
    PinNeeded {},
    /// The PIN (in `unblock`: the PUK) is wrong.
    #[error("wrong PIN, {left:?} tries left")]
    WrongPin {
        /// Tries left, where the card says.
        left: Option<u8>,
    },
    /// One try is left, and the person has not agreed to it ([`Secrets`](super::secrets::Secrets)): nothing was sent.
    #[error("the last try needs a word of its own")]
    LastTry {},
    /// The PIN (in `unblock`: the PUK) is blocked.
    #[error("the PIN is blocked")]
    Blocked {},
    /// The PIN breaks the card's format and was not sent.
    #[error("a PIN has {min} to {max} characters")]
    PinFormat {
        /// The fewest characters.
        min: u8,
        /// The most.
        max: u8,
    },
    /// Another process has verified the PIN, so its counter cannot be read.
    #[error("another process has opened the card")]
    OpenedElsewhere {},
    /// The management key (9B) is needed: it is neither on the card nor the factory's.
    #[error("the management key is needed")]
    ManagementKeyNeeded {},
    /// The management key is wrong.
    #[error("the management key is wrong")]
    ManagementKeyWrong {},
    /// A key lies where none should, or may.
    #[error("{spot} is occupied")]
    Occupied {
        /// Where.
        spot: Spot,
    },
    /// The key that should be there is not.
    #[error("another key, or none, in {spot}")]
    KeyMissing {
        /// Where.
        spot: Spot,
    },
    /// The card does not do this.
    #[error("the card cannot {what}")]
    Unsupported {
        /// What, in technical words.
        what: String,
    },
    /// No room for another key or certificate.
    #[error("the card is full")]
    Full {},
    /// Nobody touched the card in time.
    #[error("the card was not touched")]
    NotTouched {},
    /// The card answered what makes no sense, or refused without a reason of the above.
    #[error("{detail}")]
    Failed {
        /// Status word or what was wrong.
        detail: String,
    },
    /// The module (or the process in which it runs) ended or did not answer in time: what it was doing may or may not have
    /// happened.
    #[error("the module {module} {detail}")]
    Module {
        /// Its file.
        module: String,
        /// What it did.
        detail: String,
    },
}
