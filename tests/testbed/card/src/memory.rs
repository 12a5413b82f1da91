//! What a card remembers beside its applet: where its keys are, their policies and public halves, objects as they were written,
//! the management key. A file of JSON, replaced as a whole, so that a card that is killed has made a change or has not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};

use crate::management::{DEFAULT_KEY, TDES};

/// How many wrong PINs or PUKs block a new card.
pub(crate) const DEFAULT_TRIES: u8 = 3;

/// Bytes, written in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Octets(#[serde(with = "hex::serde")] pub(crate) Vec<u8>);

/// A key of a card that moves its keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The slot of the applet that holds it, wherever it may have been moved.
    pub(crate) inner: u8,
    /// As SP 800-78 numbers them.
    pub(crate) algorithm: u8,
    /// 1 never, 2 once, 3 always.
    pub(crate) pin_policy: u8,
    /// 1 never, 2 always, 3 cached.
    pub(crate) touch_policy: u8,
    /// 1 generated, 2 imported.
    pub(crate) origin: u8,
    /// The objects inside of GENERATE's `7F49`.
    pub(crate) public: Octets,
}

/// The management key, 9B.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Management {
    pub(crate) algorithm: u8,
    pub(crate) key: Octets,
    /// 1 never, 2 always.
    pub(crate) touch_policy: u8,
}

/// PIN or PUK, as far as the applet does not know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tries {
    /// Whether it is the one of a new card.
    pub(crate) default: bool,
    /// How many wrong ones block it.
    pub(crate) total: u8,
}

/// All of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    #[serde(skip)]
    file: PathBuf,
    /// For life.
    pub(crate) serial: u32,
    /// By slot, as the world sees it.
    pub(crate) keys: BTreeMap<u8, Key>,
    /// By tag.
    pub(crate) objects: BTreeMap<u32, Octets>,
    pub(crate) management: Management,
    pub(crate) pin: Tries,
    pub(crate) puk: Tries,
}

impl Memory {
    /// Of the card whose state is in this directory; a new card where there is none.
    pub(crate) fn open(directory: &Path) -> Self {
        let file = directory.join("memory.json");
        if let Ok(text) = fs::read(&file) {
            return Self { file, ..serde_json::from_slice(&text).expect("a memory that this card wrote") };
        }
        // Eight digits, as printed on a real one.
        let memory = Self::new(file, 10_000_000 + OsRng.next_u32() % 20_000_000);
        memory.save();
        memory
    }

    fn new(file: PathBuf, serial: u32) -> Self {
        Self {
            file,
            serial,
            keys: BTreeMap::new(),
            objects: BTreeMap::new(),
            management: Management { algorithm: TDES, key: Octets(DEFAULT_KEY.to_vec()), touch_policy: 1 },
            pin: Tries { default: true, total: DEFAULT_TRIES },
            puk: Tries { default: true, total: DEFAULT_TRIES },
        }
    }

    /// Forgets everything but who it is.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(std::mem::take(&mut self.file), self.serial);
        self.save();
    }

    /// Makes the changes last.
    pub(crate) fn save(&self) {
        let text = serde_json::to_vec_pretty(self).expect("it is all text");
        replace(&self.file, &text);
    }
}

/// Replaces a file as a whole.
pub(crate) fn replace(file: &Path, content: &[u8]) {
    let staged = file.with_extension("new");
    fs::write(&staged, content).and_then(|()| fs::rename(&staged, file)).expect("the state directory can be written");
}
