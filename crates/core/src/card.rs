//! A smart card or token as decisions need it: what it holds, what it can do, and where a new key may go. Owns no reader and no
//! PIN; talking to cards is the daemon's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::certificate::KeyAlgorithm;
use crate::job::Bytes;
use crate::place::Place;

/// A card or token, as it was found without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its place: `piv:…` or `pkcs11:…`.
    pub place: Place,
    /// What it can do with keys.
    pub kind: CardKind,
    /// What a person may recognise it by: the token's label, or model and serial number.
    pub label: String,
    /// Its maker's name for it; empty where it says none.
    pub model: String,
    /// Its serial number as printed or shown by other programs; empty where it says none.
    pub serial: String,
    /// The reader that it is in; empty where there is none, as with tokens of software.
    pub reader: String,
    /// Tries left for the PIN.
    pub pin: Tries,
    /// Tries left for the PUK (the security officer's PIN of a token).
    pub puk: Tries,
    /// The fewest and the most characters of a PIN.
    pub pin_length: (u8, u8),
    /// The PIN is typed on the reader (PC/SC part 10).
    pub pin_pad: bool,
    /// The kinds of key that it makes.
    pub algorithms: Vec<KeyAlgorithm>,
    /// Where keys and certificates lie on it, and where there is room.
    pub spots: Vec<SpotState>,
}

/// What a card can do with keys (FACTS "Three kinds of PIV card").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardKind {
    /// PIV: makes keys in retired slots and moves keys between slots.
    Moves,
    /// PIV: makes keys in retired slots and moves none.
    Retires,
    /// PIV: makes keys in 9A, 9C, 9D and 9E only.
    Fixed,
    /// A PKCS#11 token, which holds many keys.
    Token,
}

/// How often a secret may still be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tries {
    /// So often; the last one included.
    Left(u8),
    /// Never again: it is blocked.
    Blocked,
    /// The card does not say. Never to be taken for a full counter.
    Unknown,
}

/// Where on a card a key and its certificate lie: a PIV slot (`9a`, `82`) or a token's `CKA_ID`, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spot(pub String);

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What lies in a spot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotState {
    /// The spot.
    pub spot: Spot,
    /// The key.
    pub key: Presence,
    /// DER of the certificate, where there is one.
    pub certificate: Option<Bytes>,
    /// The key demands the PIN before each use; `None` where the card does not say.
    pub always: Option<bool>,
    /// The key demands a touch.
    pub touch: bool,
}

/// Whether a key lies in a spot. What a card does not say is never taken for emptiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// None, proved.
    Free,
    /// No certificate lies there, and whether a key does can only be proved with the PIN.
    Unproven,
    /// A key whose public half the card, or the certificate beside it, tells: DER of the `SubjectPublicKeyInfo`.
    Key(Bytes),
    /// Something is there, or may be, of which nothing is told.
    Unknown,
}
