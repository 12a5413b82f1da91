//! Signs with a key on a token, and proves the signature before it is handed out.

use cryptoki::error::Error;
use cryptoki::mechanism::{Mechanism, MechanismType};
use obnova_core::card::Spot;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnovad::cards::step::{CardAnswer, CardError};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, PKeyRef, Public};
use openssl::sign::Verifier;

use super::failure::{failed, of_module, of_openssl, unsupported};
use super::objects::{PrivateKey, private_key};
use super::pins::Open;
use super::public_keys;

/// Before a SHA-256 digest in a signature of PKCS #1 v1.5 (RFC 8017 section 9.2, note 1).
const DIGEST_INFO: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

/// A signature of `message` by the key in the spot, which must have the given public half.
pub(super) fn message(open: &Open<'_>, spot: &Spot, public_key: &[u8], message: &[u8]) -> Result<CardAnswer, CardError> {
    let expected = PKey::public_key_from_der(public_key).map_err(of_openssl)?;
    let key = private_key(open.session, spot, &expected)?;
    let algorithm = public_keys::algorithm(&expected);
    let signature = if key.always { always(open, &key, algorithm, message)? } else { at_once(open, &key, algorithm, message)? };
    let signature = if let KeyAlgorithm::Rsa(_) = algorithm { signature } else { der(&signature, &expected)? };
    if verifies(&expected, algorithm, message, &signature)? {
        Ok(CardAnswer::Signature { signature: Bytes(signature) })
    } else if key.proven {
        Err(failed("the signature does not verify"))
    } else {
        Err(CardError::KeyMissing { spot: spot.clone() })
    }
}

/// The mechanism that takes a message in parts and hashes it: the one way in which a key can be used that demands the PIN
/// between the beginning and the rest.
pub(super) fn hashing(algorithm: KeyAlgorithm) -> Result<MechanismType, CardError> {
    Ok(match algorithm {
        KeyAlgorithm::Rsa(_) => MechanismType::SHA256_RSA_PKCS,
        KeyAlgorithm::P256 => MechanismType::ECDSA_SHA256,
        KeyAlgorithm::P384 => MechanismType::ECDSA_SHA384,
        KeyAlgorithm::Other => return Err(unsupported("sign with keys of this kind")),
    })
}

/// A key that demands the PIN for each use gets it right after the operation has begun. To try without it first would spoil that
/// with some modules.
fn always(open: &Open<'_>, key: &PrivateKey, algorithm: KeyAlgorithm, message: &[u8]) -> Result<Vec<u8>, CardError> {
    let mechanism = hashing(algorithm)?;
    if !open.token.offers(mechanism)? {
        return Err(unsupported("sign with such a key that demands the PIN for each use"));
    }
    open.session.sign_init(&hashed(algorithm)?, key.object).map_err(of_module)?;
    open.again()?;
    open.session.sign_update(message).and_then(|()| open.session.sign_final()).map_err(of_module)
}

/// With elliptic curves the digest is ours, since more tokens sign one than hash a message; with RSA the other way round.
fn at_once(open: &Open<'_>, key: &PrivateKey, algorithm: KeyAlgorithm, message: &[u8]) -> Result<Vec<u8>, CardError> {
    let offers = |mechanism| open.token.offers(mechanism);
    let sign =
        |mechanism: &Mechanism<'_>, data: &[u8]| -> Result<Vec<u8>, Error> { open.session.sign(mechanism, key.object, data) };
    let digest = hash(digest_of(algorithm)?, message).map_err(of_openssl)?;
    let signature = match algorithm {
        KeyAlgorithm::Rsa(_) if !offers(MechanismType::SHA256_RSA_PKCS)? => {
            sign(&Mechanism::RsaPkcs, &[&DIGEST_INFO[..], &digest].concat())
        }
        KeyAlgorithm::P256 | KeyAlgorithm::P384 if offers(MechanismType::ECDSA)? => sign(&Mechanism::Ecdsa, &digest),
        _ => sign(&hashed(algorithm)?, message),
    };
    signature.map_err(of_module)
}

fn hashed(algorithm: KeyAlgorithm) -> Result<Mechanism<'static>, CardError> {
    Ok(match algorithm {
        KeyAlgorithm::Rsa(_) => Mechanism::Sha256RsaPkcs,
        KeyAlgorithm::P256 => Mechanism::EcdsaSha256,
        KeyAlgorithm::P384 => Mechanism::EcdsaSha384,
        KeyAlgorithm::Other => return Err(unsupported("sign with keys of this kind")),
    })
}

fn digest_of(algorithm: KeyAlgorithm) -> Result<MessageDigest, CardError> {
    Ok(match algorithm {
        KeyAlgorithm::Rsa(_) | KeyAlgorithm::P256 => MessageDigest::sha256(),
        KeyAlgorithm::P384 => MessageDigest::sha384(),
        KeyAlgorithm::Other => return Err(unsupported("sign with keys of this kind")),
    })
}

/// An ECDSA signature as X.509 has it. PKCS#11 has both numbers side by side, each as long as the order of the curve; some tokens
/// give DER all the same.
fn der(signature: &[u8], key: &PKeyRef<Public>) -> Result<Vec<u8>, CardError> {
    let size = usize::try_from(key.bits()).unwrap_or(0).div_ceil(8);
    if signature.len() != 2 * size {
        return EcdsaSig::from_der(signature).and_then(|signature| signature.to_der()).map_err(of_openssl);
    }
    let (r, s) = signature.split_at(size);
    let both = BigNum::from_slice(r).and_then(|r| EcdsaSig::from_private_components(r, BigNum::from_slice(s)?));
    both.and_then(|both| both.to_der()).map_err(of_openssl)
}

fn verifies(key: &PKeyRef<Public>, algorithm: KeyAlgorithm, message: &[u8], signature: &[u8]) -> Result<bool, CardError> {
    let mut verifier = Verifier::new(digest_of(algorithm)?, key).map_err(of_openssl)?;
    // An error here is a signature of the wrong length or form.
    Ok(verifier.verify_oneshot(signature, message).unwrap_or(false))
}
