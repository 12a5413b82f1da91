//! Writes private keys as PKCS#8 in PEM, encrypted with many more iterations than OpenSSL's own function uses. Reading is
//! left to OpenSSL.

use der::asn1::{Any, Null, ObjectIdentifier, OctetString};
use der::pem::LineEnding;
use der::{Encode, EncodeValue, Sequence, Tagged};
use obnova_secret::Secret;
use obnovad::helper::HelperError;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::{PKeyRef, Private};
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, encrypt};
use spki::AlgorithmIdentifierOwned;

use crate::failure::of_openssl;

/// PBKDF2 iterations: what OWASP recommends for HMAC-SHA256. OpenSSL's default of 2048 falls to guessing.
pub(crate) const ITERATIONS: u32 = 600_000;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// `EncryptedPrivateKeyInfo` of RFC 5958 §3.
#[derive(Sequence)]
struct EncryptedPrivateKeyInfo {
    algorithm: AlgorithmIdentifierOwned,
    encrypted: OctetString,
}

/// `PBES2-params` of RFC 8018 appendix A.4.
#[derive(Sequence)]
struct Pbes2Parameters {
    key_derivation: AlgorithmIdentifierOwned,
    encryption: AlgorithmIdentifierOwned,
}

/// `PBKDF2-params` of RFC 8018 appendix A.2.
#[derive(Sequence)]
struct Pbkdf2Parameters {
    salt: OctetString,
    iterations: u32,
    pseudo_random: AlgorithmIdentifierOwned,
}

/// The key in PEM: `ENCRYPTED PRIVATE KEY` if there is a secret, `PRIVATE KEY` if there is none.
pub(crate) fn to_pem(key: &PKeyRef<Private>, secret: Option<&Secret>) -> Result<Vec<u8>, HelperError> {
    let Some(secret) = secret else {
        return key.private_key_to_pem_pkcs8().map_err(|error| of_openssl(&error));
    };
    let sealed = seal(key, secret.expose()).map_err(|error| of_openssl(&error))?;
    let pem = sealed.and_then(|info| {
        let der = info.to_der()?;
        Ok(der::pem::encode_string("ENCRYPTED PRIVATE KEY", LineEnding::LF, &der)?)
    });
    pem.map(String::into_bytes).map_err(|error| HelperError::Crypto { detail: error.to_string() })
}

/// PBES2 (RFC 8018 §6.2) with AES-256-CBC and PBKDF2-HMAC-SHA256.
fn seal(key: &PKeyRef<Private>, secret: &[u8]) -> Result<der::Result<EncryptedPrivateKeyInfo>, ErrorStack> {
    let (mut salt, mut initial) = ([0; 16], [0; 16]);
    // On the heap, like the plain key below: there it is wiped.
    let mut encryption_key = vec![0; 32];
    rand_bytes(&mut salt)?;
    rand_bytes(&mut initial)?;
    pbkdf2_hmac(secret, &salt, ITERATIONS as usize, MessageDigest::sha256(), &mut encryption_key)?;
    let plain = key.private_key_to_pkcs8()?;
    let encrypted = encrypt(Cipher::aes_256_cbc(), &encryption_key, Some(&initial), &plain)?;
    Ok(describe(&salt, &initial, encrypted))
}

fn describe(salt: &[u8], initial: &[u8], encrypted: Vec<u8>) -> der::Result<EncryptedPrivateKeyInfo> {
    let key_derivation = Pbkdf2Parameters {
        salt: OctetString::new(salt)?,
        iterations: ITERATIONS,
        pseudo_random: algorithm(HMAC_WITH_SHA256, &Null)?,
    };
    let parameters = Pbes2Parameters {
        key_derivation: algorithm(PBKDF2, &key_derivation)?,
        encryption: algorithm(AES256_CBC, &OctetString::new(initial)?)?,
    };
    Ok(EncryptedPrivateKeyInfo { algorithm: algorithm(PBES2, &parameters)?, encrypted: OctetString::new(encrypted)? })
}

fn algorithm(oid: ObjectIdentifier, parameters: &(impl EncodeValue + Tagged)) -> der::Result<AlgorithmIdentifierOwned> {
    Ok(AlgorithmIdentifierOwned { oid, parameters: Some(Any::encode_from(parameters)?) })
}
