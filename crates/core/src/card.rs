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

/// The slots in which a PIV card keeps keys that were replaced (NIST SP 800-73-4 part 1, table 4b): 82 to 95.
const RETIRED: std::ops::RangeInclusive<u8> = 0x82..=0x95;

/// The slot of the key that decrypts.
const KEY_MANAGEMENT: &str = "9d";

/// Where on a card a new key is made, and what becomes of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where the new key is made.
    pub spot: Spot,
    /// Where the old key is.
    pub old: Spot,
    /// Where the old key goes when the new one takes its spot; `None`: both stay where they are.
    pub archive: Option<Spot>,
}

/// Why a card cannot take a new key beside the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// A PIV card of this kind would have to destroy the old key.
    Kind(CardKind),
    /// So many free spots are needed, and so many there are.
    Full {
        /// Needed.
        needed: usize,
        /// Free.
        free: usize,
    },
    /// It makes no keys of this kind.
    Algorithm(KeyAlgorithm),
    /// The old key is not on it.
    KeyGone(Spot),
}

impl Spot {
    /// The number of a PIV slot.
    pub fn slot(&self) -> Option<u8> {
        u8::from_str_radix(&self.0, 16).ok().filter(|_| self.0.len() == 2)
    }

    /// A PIV slot.
    pub fn of_slot(slot: u8) -> Self {
        Self(format!("{slot:02x}"))
    }

    /// A PIV slot for keys that were replaced.
    pub fn is_retired(&self) -> bool {
        self.slot().is_some_and(|slot| RETIRED.contains(&slot))
    }
}

impl Card {
    /// What lies in a spot.
    pub fn spot(&self, spot: &Spot) -> Option<&SpotState> {
        self.spots.iter().find(|state| state.spot == *spot)
    }

    /// Where a certificate (DER) lies with its key.
    pub fn spot_of(&self, certificate: &[u8]) -> Option<&SpotState> {
        self.spots.iter().find(|state| state.certificate.as_ref().is_some_and(|here| here.0 == certificate))
    }

    /// Sets aside where the new keys of an identity go: beside the old ones, which stay until the new are proved. `old`: the
    /// spots of the old keys and the kinds of the new. `fresh` makes up a name for a spot of a token, never twice the same.
    ///
    /// On a card that moves keys a pair needs three free slots: two for the new keys, one through which the old ones leave.
    pub fn reserve(&self, old: &[(Spot, KeyAlgorithm)], mut fresh: impl FnMut() -> Spot) -> Result<Vec<Room>, NoRoom> {
        for (spot, algorithm) in old {
            if self.spot(spot).is_none_or(|state| matches!(state.key, Presence::Free | Presence::Unproven)) {
                return Err(NoRoom::KeyGone(spot.clone()));
            }
            if !self.algorithms.contains(algorithm) {
                return Err(NoRoom::Algorithm(*algorithm));
            }
        }
        let reservation = |spot: Spot, old: &Spot, archive| Room { spot, old: old.clone(), archive };
        if self.kind == CardKind::Token {
            return Ok(old.iter().map(|(spot, _)| reservation(fresh(), spot, None)).collect());
        }
        let stays = old.iter().all(|(spot, _)| spot.0 == KEY_MANAGEMENT || spot.is_retired());
        let (free, needed) = match self.kind {
            CardKind::Moves => (self.free(&[Presence::Free]), old.len() + 1),
            CardKind::Retires if stays => (self.free(&[Presence::Free, Presence::Unproven]), old.len()),
            kind => return Err(NoRoom::Kind(kind)),
        };
        if free.len() < needed {
            return Err(NoRoom::Full { needed, free: free.len() });
        }
        // The first old key leaves for the slot that is free beyond the new keys; each following one for the slot that the
        // new key before it has just left.
        let archive = |at: usize| match self.kind {
            CardKind::Moves if at == 0 => Some(free[old.len()].clone()),
            CardKind::Moves => Some(free[at - 1].clone()),
            _ => None,
        };
        Ok(old.iter().enumerate().map(|(at, (spot, _))| reservation(free[at].clone(), spot, archive(at))).collect())
    }

    /// How many new keys it has places for, one of which a renewal on a card that moves keys needs besides; `None`: nothing limits
    /// them.
    pub fn room(&self) -> Option<usize> {
        match self.kind {
            CardKind::Token => None,
            CardKind::Moves => Some(self.free(&[Presence::Free]).len()),
            CardKind::Retires => Some(self.free(&[Presence::Free, Presence::Unproven]).len()),
            CardKind::Fixed => Some(0),
        }
    }

    /// The retired slots in one of these states that have no certificate either.
    fn free(&self, states: &[Presence]) -> Vec<Spot> {
        let free = |state: &&SpotState| state.spot.is_retired() && state.certificate.is_none() && states.contains(&state.key);
        self.spots.iter().filter(free).map(|state| state.spot.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
