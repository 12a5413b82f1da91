//! Public keys as PKCS#11 tells them (v3.1 sections 6.1.3 and 6.3.3), made into what OpenSSL and X.509 know. Owns no object.

use cryptoki::object::{AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::{Decode, Encode};
use obnova_core::certificate::KeyAlgorithm;
use obnovad::cards::step::CardError;
use openssl::bn::BigNum;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Public};
use openssl::rsa::Rsa;
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::objects::{bytes, key_type};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The key of a public key object; `None` if it is of a kind that OpenSSL does not know, or no key.
pub(super) fn of_object(session: &Session, object: ObjectHandle) -> Result<Option<PKey<Public>>, CardError> {
    let attribute = |kind| bytes(session, object, kind);
    Ok(match key_type(session, object)? {
        Some(KeyType::RSA) => {
            let numbers = attribute(AttributeType::Modulus)?.zip(attribute(AttributeType::PublicExponent)?);
            numbers.and_then(|(modulus, exponent)| rsa(&modulus, &exponent))
        }
        Some(KeyType::EC) => {
            let numbers = attribute(AttributeType::EcParams)?.zip(attribute(AttributeType::EcPoint)?);
            numbers.and_then(|(parameters, point)| elliptic(&parameters, &point))
        }
        _ => None,
    })
}

/// Whether a private key object is the other half of `expected`, as far as it tells itself: of an RSA key the modulus, of one
/// on a curve the point, though hardly any token tells that.
pub(super) fn of_private(
    session: &Session,
    object: ObjectHandle,
    expected: &PKeyRef<Public>,
) -> Result<Option<bool>, CardError> {
    let kind = match key_type(session, object)? {
        Some(KeyType::RSA) => Id::RSA,
        Some(KeyType::EC) => Id::EC,
        _ => return Ok(None),
    };
    if kind != expected.id() {
        return Ok(Some(false));
    }
    if let Ok(expected) = expected.rsa() {
        let modulus = bytes(session, object, AttributeType::Modulus)?.and_then(|modulus| BigNum::from_slice(&modulus).ok());
        return Ok(modulus.map(|modulus| modulus.ucmp(expected.n()).is_eq()));
    }
    let parameters = bytes(session, object, AttributeType::EcParams)?;
    let point = bytes(session, object, AttributeType::EcPoint)?.filter(|point| !point.is_empty());
    let key = parameters.zip(point).and_then(|(parameters, point)| elliptic(&parameters, &point));
    Ok(key.map(|key| key.public_eq(expected)))
}

/// What kind of key it is.
pub(super) fn algorithm(key: &PKeyRef<impl HasPublic>) -> KeyAlgorithm {
    match key.id() {
        Id::RSA => u16::try_from(key.bits()).map_or(KeyAlgorithm::Other, KeyAlgorithm::Rsa),
        Id::EC => match key.ec_key().ok().and_then(|key| key.group().curve_name()) {
            Some(Nid::X9_62_PRIME256V1) => KeyAlgorithm::P256,
            Some(Nid::SECP384R1) => KeyAlgorithm::P384,
            _ => KeyAlgorithm::Other,
        },
        _ => KeyAlgorithm::Other,
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<PKey<Public>> {
    let number = |bytes: &[u8]| BigNum::from_slice(bytes).ok();
    PKey::from_rsa(Rsa::from_public_components(number(modulus)?, number(exponent)?).ok()?).ok()
}

/// The point is to be wrapped into an OCTET STRING; some tokens give it bare.
fn elliptic(parameters: &[u8], point: &[u8]) -> Option<PKey<Public>> {
    let wrapped = <&OctetStringRef>::from_der(point).ok().and_then(|point| on_curve(parameters, point.as_bytes()));
    wrapped.or_else(|| on_curve(parameters, point))
}

fn on_curve(parameters: &[u8], point: &[u8]) -> Option<PKey<Public>> {
    let parameters = AnyRef::from_der(parameters).ok()?;
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(parameters) },
        subject_public_key: BitStringRef::from_bytes(point).ok()?,
    };
    PKey::public_key_from_der(&info.to_der().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_wrapped_and_bare() {
        for _ in 0..300 {
            let key = PKey::ec_gen("P-256").expect("a key");
            let info = key.public_key_to_der().expect("DER");
            let read = SubjectPublicKeyInfoRef::from_der(&info).expect("a public key");
            let parameters = read.algorithm.parameters.expect("a curve").to_der().expect("DER");
            let bare = read.subject_public_key.raw_bytes();
            let wrapped = OctetStringRef::new(bare).expect("short").to_der().expect("DER");
            for point in [bare, &wrapped] {
                let found = elliptic(&parameters, point).expect("a key");
                assert_eq!(found.public_key_to_der().expect("DER"), info);
            }
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let curve = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        for point in [&[][..], &[4], &[4, 65], &[0; 65], &[4; 65], &[0xff; 200]] {
            assert!(elliptic(&curve, point).is_none(), "{point:?}");
            assert!(elliptic(&[], point).is_none(), "{point:?}");
            assert!(elliptic(point, point).is_none(), "{point:?}");
        }
        assert_eq!(algorithm(&PKey::ec_gen("P-521").expect("a key")), KeyAlgorithm::Other);
    }
}
