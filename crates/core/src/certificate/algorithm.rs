//! The kinds of key, told apart as far as a new key must be no weaker than the old.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What kind of key a certificate certifies, and how strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// RSA with a modulus of so many bits.
    Rsa(u16),
    /// NIST P-256 (secp256r1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// Anything else: watched, but no key of this kind is made.
    Other,
}

impl KeyAlgorithm {
    /// The kinds of key that Obnova makes.
    pub const MADE: [Self; 5] = [Self::Rsa(2048), Self::Rsa(3072), Self::Rsa(4096), Self::P256, Self::P384];

    pub(super) fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::Rsa(u16::try_from(rsa.key_size()).unwrap_or(u16::MAX)),
            Ok(PublicKey::EC(_)) => {
                let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
                match curve.map(|curve| curve.to_id_string()).as_deref() {
                    Some("1.2.840.10045.3.1.7") => Self::P256,
                    Some("1.3.132.0.34") => Self::P384,
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }

    /// The key that takes the place of one of this kind: the same, or the next stronger that Obnova makes; `None` for kinds
    /// that it does not make.
    pub fn successor(self) -> Option<Self> {
        match self {
            Self::Rsa(bits) => [2048, 3072, 4096].into_iter().find(|made| bits <= *made).map(Self::Rsa),
            Self::P256 | Self::P384 => Some(self),
            Self::Other => None,
        }
    }

    /// The security strength in bits (NIST SP 800-57 part 1, table 2), to compare keys of different kinds; 0 when unknown.
    pub fn strength(self) -> u16 {
        match self {
            Self::Rsa(bits) if bits >= 15360 => 256,
            Self::Rsa(bits) if bits >= 7680 => 192,
            Self::Rsa(bits) if bits >= 3072 => 128,
            Self::Rsa(bits) if bits >= 2048 => 112,
            Self::Rsa(bits) if bits >= 1024 => 80,
            Self::P256 => 128,
            Self::P384 => 192,
            Self::Rsa(_) | Self::Other => 0,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "rsa-{bits}"),
            Self::P256 => f.write_str("p-256"),
            Self::P384 => f.write_str("p-384"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// A text that names no kind of key.
#[derive(Debug, thiserror::Error)]
#[error("not a kind of key")]
pub struct NoAlgorithm;

impl FromStr for KeyAlgorithm {
    type Err = NoAlgorithm;

    fn from_str(text: &str) -> Result<Self, NoAlgorithm> {
        match text {
            "p-256" => Ok(Self::P256),
            "p-384" => Ok(Self::P384),
            "other" => Ok(Self::Other),
            _ => {
                let bits = text.strip_prefix("rsa-").and_then(|bits| bits.parse().ok());
                bits.map(Self::Rsa).ok_or(NoAlgorithm)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_never_weaker() {
        for bits in (512..=4096).step_by(256) {
            let next = KeyAlgorithm::Rsa(bits).successor().expect("up to 4096 there is one");
            assert!(KeyAlgorithm::MADE.contains(&next) && next.strength() >= KeyAlgorithm::Rsa(bits).strength());
        }
        assert_eq!(KeyAlgorithm::Rsa(8192).successor(), None, "a weaker key is no successor");
        for made in KeyAlgorithm::MADE {
            assert_eq!(made.successor(), Some(made));
            assert_eq!(made.to_string().parse::<KeyAlgorithm>().expect("its own text"), made);
        }
    }
}
