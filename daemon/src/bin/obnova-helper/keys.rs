//! Reads, makes, uses and tries private keys in files. Which key belongs to which renewal is not known here.

use std::path::Path;

use obnova_secret::Secret;
use obnovad::helper::protocol::Bytes;
use obnovad::helper::{Challenge, HelperError, InspectedKey, KeyAlgorithm};
use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::{EcKey, PointConversionForm};
use openssl::encrypt::{Decrypter, Encrypter};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Private, Public};
use openssl::provider::Provider;
use openssl::rand::rand_bytes;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{Signer, Verifier};

use crate::failure::{is_unsupported, of_content, of_openssl};
use crate::{certificates, files, packages, seal};

/// A private key as found in a file.
pub(crate) struct FoundKey {
    pub(crate) key: PKey<Private>,
    /// Whether it took the secret to read it.
    pub(crate) encrypted: bool,
}

/// The public half of the first private key in a file.
pub(crate) fn inspect(path: &Path, secret: Option<&Secret>) -> Result<InspectedKey, HelperError> {
    let found = read(path, secret)?;
    Ok(InspectedKey { spki: public_key_info(&found.key)?, encrypted: found.encrypted })
}

/// Makes a key and writes it with its public half, which a probe can read without the secret, to a new file.
pub(crate) fn generate(algorithm: KeyAlgorithm, path: &Path, secret: Option<&Secret>) -> Result<Bytes, HelperError> {
    files::refuse_existing(path)?;
    let key = make(algorithm).map_err(|error| of_openssl(&error))?;
    let mut content = key.public_key_to_pem().map_err(|error| of_openssl(&error))?;
    content.extend(seal::to_pem(&key, secret)?);
    files::write_new(path, &content)?;
    public_key_info(&key)
}

/// The public key that [`generate`] wrote, or `None` if there is no such file.
pub(crate) fn public_half(path: &Path) -> Result<Option<Bytes>, HelperError> {
    let content = match files::read(path) {
        Ok(content) => content,
        Err(HelperError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let block = pem_block(&content, &["PUBLIC KEY"]).ok_or(HelperError::NoKey)?;
    let key = PKey::public_key_from_pem(block).map_err(|error| of_content(&error))?;
    public_key_info(&key).map(Some)
}

/// Signs `message`, if the key has the given `SubjectPublicKeyInfo`.
pub(crate) fn sign(path: &Path, message: &[u8], spki: &[u8], secret: Option<&Secret>) -> Result<Bytes, HelperError> {
    let expected = PKey::public_key_from_der(spki).map_err(|error| of_content(&error))?;
    let key = read(path, secret)?.key;
    if !key.public_eq(&expected) {
        return Err(HelperError::KeyMismatch);
    }
    sign_with(&key, digest_for(&key)?, message).map(Bytes).map_err(|error| of_openssl(&error))
}

/// Whether somebody else's signature is right.
pub(crate) fn verify(spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), HelperError> {
    let public = PKey::public_key_from_der(spki).map_err(|error| of_content(&error))?;
    let right =
        Verifier::new(digest_for(&public)?, &public).and_then(|mut verifier| verifier.verify_oneshot(signature, message));
    match right {
        Ok(true) => Ok(()),
        Ok(false) => Err(HelperError::TrialFailed { detail: "its signature does not verify".to_owned() }),
        Err(error) => Err(of_content(&error)),
    }
}

/// Makes up something that only the holder of the key can open.
pub(crate) fn challenge(spki: &[u8]) -> Result<Challenge, HelperError> {
    let public = PKey::public_key_from_der(spki).map_err(|error| of_content(&error))?;
    let made = if public.id() == Id::RSA { encrypted(&public) } else { agreed(&public) };
    made.map_err(|error| of_openssl(&error))
}

fn encrypted(public: &PKeyRef<Public>) -> Result<Challenge, ErrorStack> {
    let mut message = [0; 32];
    rand_bytes(&mut message)?;
    let key = public.rsa()?;
    let mut ciphertext = vec![0; key.size() as usize];
    let length = key.public_encrypt(&message, &mut ciphertext, Padding::PKCS1)?;
    ciphertext.truncate(length);
    Ok(Challenge { ciphertext: ciphertext.into(), expected: message.to_vec().into() })
}

fn agreed(public: &PKeyRef<Public>) -> Result<Challenge, ErrorStack> {
    let theirs = public.ec_key()?;
    let group = theirs.group();
    let ours = EcKey::generate(group)?;
    let point = ours.public_key().to_bytes(group, PointConversionForm::UNCOMPRESSED, &mut *BigNumContext::new()?)?;
    let ours = PKey::from_ec_key(ours)?;
    let mut deriver = Deriver::new(&ours)?;
    deriver.set_peer(public)?;
    Ok(Challenge { ciphertext: point.into(), expected: deriver.derive_to_vec()?.into() })
}

/// Proves that a key belongs to a certificate and works.
pub(crate) fn trial(path: &Path, certificate: &[u8], secret: Option<&Secret>) -> Result<(), HelperError> {
    let certificate = certificates::parse(certificate)?;
    let public = certificate.public_key().map_err(|error| of_content(&error))?;
    let key = read(path, secret)?.key;
    if !key.public_eq(&public) {
        return Err(HelperError::KeyMismatch);
    }
    // The numbers of a damaged key file may not fit together though its public half is right: then OpenSSL fails, too.
    let failed = |error: &ErrorStack| match of_openssl(error) {
        HelperError::Crypto { detail } => HelperError::TrialFailed { detail },
        other => other,
    };
    if !signs(&key, &public, digest_for(&key)?).map_err(|error| failed(&error))? {
        return Err(HelperError::TrialFailed { detail: "its signature does not verify".to_owned() });
    }
    if key.id() == Id::RSA && !decrypts(&key, &public).map_err(|error| failed(&error))? {
        return Err(HelperError::TrialFailed { detail: "it decrypts to something else".to_owned() });
    }
    Ok(())
}

/// Reads the first private key in a file: PEM, DER, PKCS#12.
pub(crate) fn read(path: &Path, secret: Option<&Secret>) -> Result<FoundKey, HelperError> {
    parse(&files::read(path)?, secret)
}

/// Finds the first private key in the content of a file.
pub(crate) fn parse(content: &[u8], secret: Option<&Secret>) -> Result<FoundKey, HelperError> {
    const LABELS: &[&str] = &["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    // Old files want old ciphers. Without the provider (some distributions leave it out) they are merely unsupported.
    let _legacy = Provider::try_load(None, "legacy", true);
    if let Some(block) = pem_block(content, LABELS) {
        let is = |mark: &str| find(block, mark.as_bytes()).is_some();
        let encrypted = is("-----BEGIN ENCRYPTED") || is("Proc-Type: 4,ENCRYPTED");
        return open(encrypted, secret, |fill| PKey::private_key_from_pem_callback(block, fill));
    }
    if let Some(key) = packages::key_in(content, secret)? {
        return Ok(FoundKey { key, encrypted: true });
    }
    if is_encrypted_pkcs8(content) {
        return open(true, secret, |fill| PKey::private_key_from_pkcs8_callback(content, fill));
    }
    match PKey::private_key_from_der(content) {
        Ok(key) => Ok(FoundKey { key, encrypted: false }),
        Err(error) if is_unsupported(&error) => Err(of_content(&error)),
        Err(error) if starts_as_private_key(content) => Err(of_content(&error)),
        Err(_) => Err(HelperError::NoKey),
    }
}

/// The `SubjectPublicKeyInfo` of a key.
pub(crate) fn public_key_info<T: HasPublic>(key: &PKeyRef<T>) -> Result<Bytes, HelperError> {
    key.public_key_to_der().map(Bytes).map_err(|error| of_openssl(&error))
}

/// Parses with a function of OpenSSL's, which asks for the passphrase if it needs it. Once it has asked, the envelope was
/// sound, and a failure means the wrong passphrase.
fn open(
    encrypted: bool,
    secret: Option<&Secret>,
    parse: impl FnOnce(&mut dyn FnMut(&mut [u8]) -> Result<usize, ErrorStack>) -> Result<PKey<Private>, ErrorStack>,
) -> Result<FoundKey, HelperError> {
    let mut asked = false;
    let parsed = parse(&mut |buffer: &mut [u8]| {
        asked = true;
        let secret = secret.map_or(&[][..], Secret::expose);
        let taken = buffer.get_mut(..secret.len()).ok_or_else(ErrorStack::get)?;
        taken.copy_from_slice(secret);
        Ok(secret.len())
    });
    match parsed {
        Ok(key) => Ok(FoundKey { key, encrypted }),
        Err(_) if asked && secret.is_none() => Err(HelperError::SecretNeeded),
        Err(error) if asked && !is_unsupported(&error) => Err(HelperError::WrongSecret),
        Err(error) => Err(of_content(&error)),
    }
}

fn make(algorithm: KeyAlgorithm) -> Result<PKey<Private>, ErrorStack> {
    match algorithm {
        KeyAlgorithm::Rsa2048 => PKey::from_rsa(Rsa::generate(2048)?),
        KeyAlgorithm::Rsa3072 => PKey::from_rsa(Rsa::generate(3072)?),
        KeyAlgorithm::Rsa4096 => PKey::from_rsa(Rsa::generate(4096)?),
        KeyAlgorithm::P256 => PKey::ec_gen("P-256"),
        KeyAlgorithm::P384 => PKey::ec_gen("P-384"),
    }
}

/// The digest that goes with a key, as certificates of the self-signed programme name it.
fn digest_for<T: HasPublic>(key: &PKeyRef<T>) -> Result<MessageDigest, HelperError> {
    let unsupported = |what: &str| Err(HelperError::Unsupported { detail: format!("signatures with {what}") });
    match key.id() {
        Id::RSA => Ok(MessageDigest::sha256()),
        Id::EC => match key.ec_key().map_err(|error| of_openssl(&error))?.group().curve_name() {
            Some(Nid::X9_62_PRIME256V1) => Ok(MessageDigest::sha256()),
            Some(Nid::SECP384R1) => Ok(MessageDigest::sha384()),
            _ => unsupported("this elliptic curve"),
        },
        _ => unsupported("this kind of key"),
    }
}

/// PKCS #1 v1.5 for RSA (OpenSSL's default), ECDSA for elliptic curves.
fn sign_with(key: &PKeyRef<Private>, digest: MessageDigest, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    Signer::new(digest, key)?.sign_oneshot_to_vec(message)
}

fn signs(key: &PKeyRef<Private>, public: &PKeyRef<Public>, digest: MessageDigest) -> Result<bool, ErrorStack> {
    let mut message = [0; 64];
    rand_bytes(&mut message)?;
    let signature = sign_with(key, digest, &message)?;
    Verifier::new(digest, public)?.verify_oneshot(&signature, &message)
}

/// Encrypts random bytes to the certificate's key and decrypts them (RSAES-OAEP, RFC 8017 §7.1).
fn decrypts(key: &PKeyRef<Private>, public: &PKeyRef<Public>) -> Result<bool, ErrorStack> {
    let mut message = [0; 32];
    rand_bytes(&mut message)?;

    let mut sender = Encrypter::new(public)?;
    sender.set_rsa_padding(Padding::PKCS1_OAEP)?;
    let mut encrypted = vec![0; sender.encrypt_len(&message)?];
    let length = sender.encrypt(&message, &mut encrypted)?;
    encrypted.truncate(length);

    let mut receiver = Decrypter::new(key)?;
    receiver.set_rsa_padding(Padding::PKCS1_OAEP)?;
    let mut decrypted = vec![0; receiver.decrypt_len(&encrypted)?];
    let length = receiver.decrypt(&encrypted, &mut decrypted)?;
    Ok(decrypted[..length] == message)
}

/// The first block of a PEM file (RFC 7468) with one of these labels, from its first dash to its last.
fn pem_block<'a>(content: &'a [u8], labels: &[&str]) -> Option<&'a [u8]> {
    let block = |label: &&str| {
        let start = find(content, format!("-----BEGIN {label}-----").as_bytes())?;
        let end = format!("-----END {label}-----");
        // Without its end it is a block all the same, and a broken one.
        let length = find(&content[start..], end.as_bytes()).map_or(content.len() - start, |found| found + end.len());
        Some((start, &content[start..start + length]))
    };
    labels.iter().filter_map(block).min_by_key(|(start, _)| *start).map(|(_, block)| block)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Whether DER starts as `EncryptedPrivateKeyInfo` does (RFC 5958 §3): a SEQUENCE of a SEQUENCE and an OCTET STRING.
fn is_encrypted_pkcs8(content: &[u8]) -> bool {
    let Some((0x30, _, fields)) = enter(content) else { return false };
    let Some((0x30, length, algorithm)) = enter(fields) else { return false };
    algorithm.get(length) == Some(&0x04)
}

/// Whether DER starts as every plain private key does, and nothing else that is found in files: a SEQUENCE of an INTEGER,
/// the version, which is 0 or 1, and more.
fn starts_as_private_key(content: &[u8]) -> bool {
    matches!(enter(content), Some((0x30, _, [2, 1, 0 | 1, ..])))
}

/// Tag and length of a DER element, and what follows them, which may be cut off.
fn enter(content: &[u8]) -> Option<(u8, usize, &[u8])> {
    match *content {
        [tag, length, ref rest @ ..] if length < 0x80 => Some((tag, length.into(), rest)),
        [tag, 0x81, length, ref rest @ ..] => Some((tag, length.into(), rest)),
        [tag, 0x82, high, low, ref rest @ ..] => Some((tag, u16::from_be_bytes([high, low]).into(), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With CBC, one wrong passphrase in 256 decrypts to something that ends like a padding. It is wrong all the same.
    #[test]
    fn wrong_passphrases_are_wrong_however_they_decrypt() {
        let right = Secret::from_slice(&mut b"right".to_vec()).expect("memory");
        let key = make(KeyAlgorithm::P256).expect("key");
        let modern = key.private_key_to_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"right").expect("PKCS#8");
        let classic = key.ec_key().expect("EC").private_key_to_pem_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"right");
        for content in [modern, classic.expect("PEM")] {
            assert!(parse(&content, Some(&right)).expect("right").key.public_eq(&key));
            for number in 0..1500 {
                let wrong = Secret::from_slice(&mut format!("wrong {number}").into_bytes()).expect("memory");
                let error = parse(&content, Some(&wrong)).err().expect("wrong");
                assert!(matches!(error, HelperError::WrongSecret), "{number}: {error:?}");
            }
        }
    }
}
