//! Finds objects on a token and reads their attributes, bounded, taking what makes no sense for absent. What the objects are for
//! is known by those who ask.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use obnova_core::card::Spot;
use obnova_core::certificate::LONGEST;
use obnovad::cards::step::CardError;
use openssl::pkey::{PKeyRef, Public};
use openssl::x509::X509;

use super::failure::{failed, of_module};
use super::public_keys;

/// The most objects of one kind that are looked at. The largest cards hold some dozens.
const MOST: usize = 512;

/// The objects that fit.
pub(super) fn find(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, CardError> {
    let objects = session.iter_objects(template).map_err(of_module)?.take(MOST + 1);
    let objects: Vec<ObjectHandle> = objects.collect::<Result<_, Error>>().map_err(of_module)?;
    if objects.len() <= MOST { Ok(objects) } else { Err(failed("the token shows objects without end")) }
}

/// The objects of a class, with their `CKA_ID`.
pub(super) fn of_class(session: &Session, class: ObjectClass) -> Result<Vec<(Vec<u8>, ObjectHandle)>, CardError> {
    let objects = find(session, &[Attribute::Class(class)])?;
    objects.into_iter().map(|object| Ok((bytes(session, object, AttributeType::Id)?.unwrap_or_default(), object))).collect()
}

/// The objects of a class in a spot.
pub(super) fn in_spot(session: &Session, class: ObjectClass, id: &[u8]) -> Result<Vec<ObjectHandle>, CardError> {
    find(session, &[Attribute::Class(class), Attribute::Id(id.to_vec())])
}

/// An attribute of bytes; `None` where the object has none, tells none, or more than any real one has.
pub(super) fn bytes(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Option<Vec<u8>>, CardError> {
    use Attribute as A;
    Ok(match attribute(session, object, kind)? {
        Some(
            A::Id(bytes)
            | A::Value(bytes)
            | A::Modulus(bytes)
            | A::PublicExponent(bytes)
            | A::EcParams(bytes)
            | A::EcPoint(bytes),
        ) => Some(bytes).filter(|bytes| bytes.len() <= LONGEST),
        _ => None,
    })
}

/// An attribute that is true or false; `None` where the object has none or tells none.
pub(super) fn flag(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Option<bool>, CardError> {
    use Attribute as A;
    Ok(match attribute(session, object, kind)? {
        Some(
            A::AlwaysAuthenticate(is)
            | A::Sign(is)
            | A::Decrypt(is)
            | A::Unwrap(is)
            | A::Derive(is)
            | A::Sensitive(is)
            | A::Extractable(is),
        ) => Some(is),
        _ => None,
    })
}

/// `CKA_KEY_TYPE`.
pub(super) fn key_type(session: &Session, object: ObjectHandle) -> Result<Option<KeyType>, CardError> {
    Ok(match attribute(session, object, AttributeType::KeyType)? {
        Some(Attribute::KeyType(kind)) => Some(kind),
        _ => None,
    })
}

fn attribute(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Option<Attribute>, CardError> {
    match session.get_attributes(object, &[kind]) {
        Ok(attributes) => Ok(attributes.into_iter().next()),
        Err(error @ (Error::Pkcs11(..) | Error::NullFunctionPointer)) => Err(of_module(error)),
        // Of a length or value that this attribute cannot have.
        Err(_) => Ok(None),
    }
}

/// The `CKA_ID` of a spot; `None` where it can be none.
pub(super) fn id_of(spot: &Spot) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let [high, low] = pair else { return None };
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    spot.0.as_bytes().chunks(2).map(digits).collect::<Option<Vec<u8>>>().filter(|id| !id.is_empty())
}

/// The spot of a `CKA_ID`.
pub(super) fn spot_of(id: &[u8]) -> Spot {
    Spot(id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// A private key as far as it is told.
pub(super) struct PrivateKey {
    pub(super) object: ObjectHandle,
    /// It demands the PIN before each use.
    pub(super) always: bool,
    /// Its public half was told, by itself or by what lies beside it, and is the right one.
    pub(super) proven: bool,
}

/// The private key in a spot whose public half is `expected`. To be asked for once the token is open: before, private keys are
/// invisible.
pub(super) fn private_key(session: &Session, spot: &Spot, expected: &PKeyRef<Public>) -> Result<PrivateKey, CardError> {
    let missing = || CardError::KeyMissing { spot: spot.clone() };
    let id = id_of(spot).ok_or_else(missing)?;
    let beside = public_halves(session, &id)?;
    for object in in_spot(session, ObjectClass::PRIVATE_KEY, &id)? {
        let told = match public_keys::of_private(session, object, expected)? {
            Some(is_expected) => Some(is_expected),
            None if beside.is_empty() => None,
            None => Some(beside.iter().any(|key| key.public_eq(expected))),
        };
        if told != Some(false) {
            let always = flag(session, object, AttributeType::AlwaysAuthenticate)?.unwrap_or(false);
            return Ok(PrivateKey { object, always, proven: told.is_some() });
        }
    }
    Err(missing())
}

/// The public keys in a spot, as public key objects or, where there are none, certificates tell them.
pub(super) fn public_halves(session: &Session, id: &[u8]) -> Result<Vec<openssl::pkey::PKey<Public>>, CardError> {
    let mut keys = Vec::new();
    for object in in_spot(session, ObjectClass::PUBLIC_KEY, id)? {
        keys.extend(public_keys::of_object(session, object)?);
    }
    if keys.is_empty() {
        for der in certificates(session, id)? {
            keys.extend(X509::from_der(&der).ok().and_then(|certificate| certificate.public_key().ok()));
        }
    }
    Ok(keys)
}

/// The certificates in a spot, DER.
pub(super) fn certificates(session: &Session, id: &[u8]) -> Result<Vec<Vec<u8>>, CardError> {
    let objects = in_spot(session, ObjectClass::CERTIFICATE, id)?;
    let values = objects.into_iter().map(|object| bytes(session, object, AttributeType::Value));
    Ok(values.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_are_ids_in_hex() {
        assert_eq!(spot_of(&[0, 0x1f, 0xff]), Spot("001fff".to_owned()));
        assert_eq!(id_of(&Spot("001fff".to_owned())), Some(vec![0, 0x1f, 0xff]));
        for none in ["", "0", "0g", "+1", "é", "001"] {
            assert_eq!(id_of(&Spot(none.to_owned())), None, "{none}");
        }
    }
}
