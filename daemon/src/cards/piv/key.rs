//! Public keys in the forms in which cards and certificates tell them, and what is handed to a private key. Owns no private key
//! and checks no signature.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use const_oid::db::rfc8410::{ID_ED_25519, ID_X_25519};
use der::asn1::{Any, BitString, Null, Uint};
use der::{Decode, Encode, Sequence};
use obnova_core::certificate::KeyAlgorithm;
use sha2::{Digest, Sha256, Sha384};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::tlv;
use crate::cards::step::CardError;

/// Algorithm references (NIST SP 800-78-5, table 12; RSA-4096 and the last two as Yubico numbers them).
const RSA_1024: u8 = 0x06;
const RSA_2048: u8 = 0x07;
const RSA_3072: u8 = 0x05;
const RSA_4096: u8 = 0x16;
const P256: u8 = 0x11;
const P384: u8 = 0x14;
const ED25519: u8 = 0xE0;
const X25519: u8 = 0xE1;

/// DER of a `DigestInfo` with SHA-256 up to its digest (RFC 8017, 9.2 note 1).
const SHA_256_DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// A public key. Equal ones are the same key, however they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Both without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// An uncompressed point.
    P256 { point: Vec<u8> },
    /// An uncompressed point.
    P384 { point: Vec<u8> },
    /// A key with which nothing is done here.
    Other { algorithm: ObjectIdentifier, key: Vec<u8> },
}

/// `RSAPublicKey` (RFC 8017, A.1.1).
#[derive(Clone, Debug, Sequence)]
struct RsaPublicKey {
    modulus: Uint,
    exponent: Uint,
}

/// A certificate as far as its public key.
#[derive(Clone, Debug, Sequence)]
struct Certificate {
    tbs: Any,
    algorithm: Any,
    signature: BitString,
}

impl PublicKey {
    /// From the objects that GENERATE returns inside of `7F49`, and GET METADATA under tag 04.
    pub(super) fn of_template(algorithm: u8, template: &[u8]) -> Option<Self> {
        let key = match algorithm {
            RSA_1024 | RSA_2048 | RSA_3072 | RSA_4096 => Self::Rsa {
                modulus: without_zeros(tlv::find(&[0x81], template)?),
                exponent: without_zeros(tlv::find(&[0x82], template)?),
            },
            P256 => Self::P256 { point: tlv::find(&[0x86], template)?.to_vec() },
            P384 => Self::P384 { point: tlv::find(&[0x86], template)?.to_vec() },
            ED25519 => Self::Other { algorithm: ID_ED_25519, key: tlv::find(&[0x86], template)?.to_vec() },
            X25519 => Self::Other { algorithm: ID_X_25519, key: tlv::find(&[0x86], template)?.to_vec() },
            _ => return None,
        };
        (key.is_sound() && key.reference() == Some(algorithm)).then_some(key)
    }

    /// From DER of a `SubjectPublicKeyInfo`.
    pub(super) fn of_spki(der: &[u8]) -> Option<Self> {
        let info = SubjectPublicKeyInfoOwned::from_der(der).ok()?;
        let bytes = info.subject_public_key.as_bytes()?;
        let curve = || info.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
        let key = match info.algorithm.oid {
            RSA_ENCRYPTION => {
                let RsaPublicKey { modulus, exponent } = RsaPublicKey::from_der(bytes).ok()?;
                Self::Rsa { modulus: without_zeros(modulus.as_bytes()), exponent: without_zeros(exponent.as_bytes()) }
            }
            ID_EC_PUBLIC_KEY if curve() == Some(SECP_256_R_1) => Self::P256 { point: bytes.to_vec() },
            ID_EC_PUBLIC_KEY if curve() == Some(SECP_384_R_1) => Self::P384 { point: bytes.to_vec() },
            algorithm => Self::Other { algorithm, key: bytes.to_vec() },
        };
        key.is_sound().then_some(key)
    }

    /// From DER of a certificate.
    pub(super) fn of_certificate(der: &[u8]) -> Option<Self> {
        let tbs = Certificate::from_der(der).ok()?.tbs;
        let mut fields = tlv::objects(tbs.value()).map_while(Result::ok).peekable();
        // Version, if any; then serial number, algorithm, issuer, validity, subject (RFC 5280, 4.1).
        fields.next_if(|(tag, _)| *tag == iso7816::tlv::Tag::from(0xA0_u8));
        let (_, key) = fields.nth(5)?;
        Self::of_spki(&tlv::object(0x30, key))
    }

    /// DER of the `SubjectPublicKeyInfo`.
    pub(super) fn to_spki(&self) -> Result<Vec<u8>, CardError> {
        self.encode().map_err(|error| CardError::Failed { detail: format!("a public key: {error}") })
    }

    fn encode(&self) -> der::Result<Vec<u8>> {
        let (oid, parameters, bytes) = match self {
            Self::Rsa { modulus, exponent } => {
                let key = RsaPublicKey { modulus: Uint::new(modulus)?, exponent: Uint::new(exponent)? };
                (RSA_ENCRYPTION, Some(Any::encode_from(&Null)?), key.to_der()?)
            }
            Self::P256 { point } => (ID_EC_PUBLIC_KEY, Some(Any::encode_from(&SECP_256_R_1)?), point.clone()),
            Self::P384 { point } => (ID_EC_PUBLIC_KEY, Some(Any::encode_from(&SECP_384_R_1)?), point.clone()),
            Self::Other { algorithm, key } => (*algorithm, None, key.clone()),
        };
        let algorithm = AlgorithmIdentifierOwned { oid, parameters };
        SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(&bytes)? }.to_der()
    }

    /// The kind of key.
    pub(super) fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Rsa { modulus, .. } => {
                let zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
                KeyAlgorithm::Rsa(u16::try_from(modulus.len() * 8 - zeros).unwrap_or(u16::MAX))
            }
            Self::P256 { .. } => KeyAlgorithm::P256,
            Self::P384 { .. } => KeyAlgorithm::P384,
            Self::Other { .. } => KeyAlgorithm::Other,
        }
    }

    /// How the card is told which algorithm to use with this key.
    pub(super) fn reference(&self) -> Option<u8> {
        match self {
            Self::Other { algorithm: ID_ED_25519, .. } => Some(ED25519),
            Self::Other { algorithm: ID_X_25519, .. } => Some(X25519),
            Self::Rsa { .. } if self.algorithm() == KeyAlgorithm::Rsa(1024) => Some(RSA_1024),
            _ => reference(self.algorithm()),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => (64..=1024).contains(&modulus.len()) && (1..=16).contains(&exponent.len()),
            Self::P256 { point } => point.len() == 65 && point[0] == 0x04,
            Self::P384 { point } => point.len() == 97 && point[0] == 0x04,
            Self::Other { .. } => true,
        }
    }

    /// What a card is given to sign a message with this key: with RSA the padded `DigestInfo` (RFC 8017, 9.2), else the digest.
    pub(super) fn to_be_signed(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa { modulus, .. } => {
                let digest = Sha256::digest(message);
                let padding = modulus.len().checked_sub(3 + SHA_256_DIGEST_INFO.len() + digest.len())?;
                Some([&[0, 1], vec![0xFF; padding].as_slice(), &[0], &SHA_256_DIGEST_INFO, &digest].concat())
            }
            Self::P256 { .. } => Some(Sha256::digest(message).to_vec()),
            Self::P384 { .. } => Some(Sha384::digest(message).to_vec()),
            Self::Other { .. } => None,
        }
    }

    /// Whether these bytes have the form of a signature by this key.
    pub(super) fn may_have_signed(&self, signature: &[u8]) -> bool {
        match self {
            Self::Rsa { modulus, .. } => signature.len() == modulus.len(),
            _ => EcdsaSignature::from_der(signature).is_ok(),
        }
    }

    /// The message in a block that RSA has decrypted, its padding taken off (RFC 8017, 7.2.2).
    pub(super) fn message_in(&self, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Self::Rsa { modulus, .. } = self else { return None };
        let padded = block.strip_prefix(&[0, 2]).filter(|_| block.len() == modulus.len())?;
        let end = padded.iter().position(|byte| *byte == 0).filter(|end| *end >= 8)?;
        Some(Zeroizing::new(padded[end + 1..].to_vec()))
    }
}

/// `ECDSA-Sig-Value` (RFC 3279, 2.2.3).
#[derive(Clone, Debug, Sequence)]
struct EcdsaSignature {
    r: Uint,
    s: Uint,
}

/// How a card is told to make or use a key of this kind.
pub(super) fn reference(algorithm: KeyAlgorithm) -> Option<u8> {
    match algorithm {
        KeyAlgorithm::Rsa(2048) => Some(RSA_2048),
        KeyAlgorithm::Rsa(3072) => Some(RSA_3072),
        KeyAlgorithm::Rsa(4096) => Some(RSA_4096),
        KeyAlgorithm::P256 => Some(P256),
        KeyAlgorithm::P384 => Some(P384),
        KeyAlgorithm::Rsa(_) | KeyAlgorithm::Other => None,
    }
}

fn without_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}
