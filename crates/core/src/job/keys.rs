//! The keys of a renewal: where each comes into being, or that it is there already.

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::card::Spot;
use crate::certificate::KeyAlgorithm;
use crate::place::Place;

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Its kind.
    pub algorithm: KeyAlgorithm,
    /// The place of which it and its certificate become part.
    pub place: Place,
    /// Where it comes into being.
    pub home: Home,
}

/// Where a key comes into being.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Home {
    /// In this file of the job's own directory.
    File(String),
    /// On a card.
    Card(Reservation),
    /// It exists already, in its place, with this certificate (DER).
    There(Bytes),
    /// With another program, which is to bring a successor of this certificate (DER): that one may be gone then.
    Others(Bytes),
}

/// The keys that other programs have made, found where they lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundKeys {
    /// The keys, in the order of the old certificates.
    pub keys: Vec<NewKey>,
    /// They are protected by a secret.
    pub protected: bool,
}

/// What is set aside on a card for a new key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Where the new key is made.
    pub spot: Spot,
    /// Where the old key is.
    pub old: Spot,
    /// Where the old key goes when the new one takes its spot; `None`: both stay where they are.
    pub archive: Option<Spot>,
    /// What other programs show, where the card keeps such a name.
    pub label: String,
}
