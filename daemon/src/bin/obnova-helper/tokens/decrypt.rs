//! Decrypts, or agrees on a secret, with a key on a token.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use der::Encode;
use der::asn1::OctetStringRef;
use obnova_core::card::Spot;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnovad::cards::step::{CardAnswer, CardError};
use openssl::pkey::PKey;

use super::failure::{failed, of_module, of_openssl, unsupported};
use super::objects::{self, PrivateKey, private_key};
use super::pins::Open;
use super::public_keys;

/// What comes of `ciphertext` (RSA), or of the other side's point (elliptic curves), with the key in the spot.
pub(super) fn message(open: &Open<'_>, spot: &Spot, public_key: &[u8], ciphertext: &[u8]) -> Result<CardAnswer, CardError> {
    let expected = PKey::public_key_from_der(public_key).map_err(of_openssl)?;
    let key = private_key(open.session, spot, &expected)?;
    let plain = match public_keys::algorithm(&expected) {
        KeyAlgorithm::Rsa(_) => decrypted(open, &key, ciphertext)?,
        KeyAlgorithm::P256 => agreed(open, &key, ciphertext, 32)?,
        KeyAlgorithm::P384 => agreed(open, &key, ciphertext, 48)?,
        KeyAlgorithm::Other => return Err(unsupported("decrypt with keys of this kind")),
    };
    Ok(CardAnswer::Plain { plain: Bytes(plain) })
}

fn decrypted(open: &Open<'_>, key: &PrivateKey, ciphertext: &[u8]) -> Result<Vec<u8>, CardError> {
    if !open.token.offers(MechanismType::RSA_PKCS)? {
        return Err(unsupported("decrypt"));
    }
    if !key.always {
        return open.session.decrypt(&Mechanism::RsaPkcs, key.object, ciphertext).map_err(of_module);
    }
    open.session.decrypt_init(&Mechanism::RsaPkcs, key.object).map_err(of_module)?;
    open.again()?;
    // The PIN has to be given in between, and only an operation in parts has a between. Many tokens decrypt at once only.
    let parts = open.session.decrypt_update(ciphertext).and_then(|first| Ok([first, open.session.decrypt_final()?].concat()));
    parts.map_err(|error| match error {
        Error::Pkcs11(RvError::OperationNotInitialized | RvError::FunctionNotSupported | RvError::MechanismInvalid, _) => {
            unsupported("decrypt with such a key that demands the PIN for each use")
        }
        other => of_module(other),
    })
}

fn agreed(open: &Open<'_>, key: &PrivateKey, point: &[u8], length: u64) -> Result<Vec<u8>, CardError> {
    if !open.token.offers(MechanismType::ECDH1_DERIVE)? {
        return Err(unsupported("agree on a secret"));
    }
    if key.always {
        return Err(unsupported("agree on a secret with a key that demands the PIN for each use"));
    }
    // Lives as long as the session.
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(length.into()),
    ];
    let derive = |point: &[u8]| {
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
        open.session.derive_key(&mechanism, key.object, &template)
    };
    let secret = match derive(point) {
        // Every token is to take the bare point; some take it only as `CKA_EC_POINT` has it.
        Err(Error::Pkcs11(RvError::MechanismParamInvalid | RvError::ArgumentsBad | RvError::GeneralError, _)) => {
            let wrapped = OctetStringRef::new(point).and_then(|point| point.to_der());
            derive(&wrapped.map_err(|error| failed(&error.to_string()))?)
        }
        outcome => outcome,
    };
    let secret = secret.map_err(of_module)?;
    let value = objects::bytes(open.session, secret, AttributeType::Value)?;
    value.ok_or_else(|| unsupported("tell the secret that was agreed on"))
}
