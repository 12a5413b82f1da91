//! Bytes as they stand in records: in hexadecimal digits, and never shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::certificate::{hex, hex_byte};

/// Bytes, as hex in text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        hex(&bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(hex_byte).collect();
        bytes.map(Self).ok_or_else(|| "not hexadecimal".to_owned())
    }
}
