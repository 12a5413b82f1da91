//! Writes a certificate beside its key, where other programs look for it, and reads it back.

use cryptoki::object::{Attribute, CertificateType, ObjectClass};
use der::asn1::AnyRef;
use der::{Decode, Encode, Tag, Tagged};
use obnova_core::card::Spot;
use obnovad::cards::step::{CardAnswer, CardError};
use openssl::x509::X509;

use super::failure::{failed, of_module, of_openssl};
use super::objects;
use super::pins::Open;

/// The certificate in the spot of its key. One that is there already stays as it is.
pub(super) fn certificate(open: &Open<'_>, spot: &Spot, der: &[u8], label: &str) -> Result<CardAnswer, CardError> {
    let session = open.session;
    let certificate = X509::from_der(der).map_err(of_openssl)?;
    let key = certificate.public_key().map_err(of_openssl)?;
    objects::private_key(session, spot, &key)?;
    let id = objects::id_of(spot).ok_or_else(|| CardError::KeyMissing { spot: spot.clone() })?;
    let is_of_another_key = |other: &Vec<u8>| {
        let other = X509::from_der(other).ok().and_then(|other| other.public_key().ok());
        !other.is_some_and(|other| other.public_eq(&key))
    };
    let there = objects::certificates(session, &id)?;
    if there.iter().any(|other| other == der) {
        return Ok(CardAnswer::Done {});
    }
    if there.iter().any(is_of_another_key) {
        return Err(CardError::Occupied { spot: spot.clone() });
    }
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(id.clone()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Subject(certificate.subject_name().to_der().map_err(of_openssl)?),
        Attribute::Issuer(certificate.issuer_name().to_der().map_err(of_openssl)?),
        Attribute::SerialNumber(serial(der).ok_or_else(|| failed("the certificate has no serial number"))?),
        Attribute::Value(der.to_vec()),
    ];
    session.create_object(&template).map_err(of_module)?;
    if objects::certificates(session, &id)?.iter().any(|other| other == der) {
        Ok(CardAnswer::Done {})
    } else {
        Err(failed("the token gives back another certificate than was written"))
    }
}

/// DER of the serial number, as it stands in the certificate: `CKA_SERIAL_NUMBER` is to be compared with it byte by byte.
fn serial(certificate: &[u8]) -> Option<Vec<u8>> {
    let parts = fields(fields(certificate)?.first()?)?;
    let is_number = |field: &&Vec<u8>| AnyRef::from_der(field).is_ok_and(|field| field.tag() == Tag::Integer);
    parts.iter().find(is_number).cloned()
}

/// The elements of a SEQUENCE, each DER.
fn fields(sequence: &[u8]) -> Option<Vec<Vec<u8>>> {
    let fields = Vec::<AnyRef<'_>>::from_der(sequence).ok()?;
    fields.iter().map(|field| field.to_der().ok()).collect()
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Integer;
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;

    use super::*;

    #[test]
    fn serials_stand_as_they_do_in_the_certificate() {
        let key = PKey::ec_gen("P-256").expect("a key");
        for (number, der) in [("00", "020100"), ("7f", "02017f"), ("80", "02020080"), ("00ff00", "020300ff00")] {
            for version in [0, 2] {
                let mut builder = X509::builder().expect("a builder");
                let number = BigNum::from_hex_str(number).expect("a number");
                builder.set_version(version).expect("a version");
                builder.set_serial_number(&Asn1Integer::from_bn(&number).expect("a serial")).expect("a serial");
                builder.set_pubkey(&key).expect("a key");
                builder.sign(&key, MessageDigest::sha256()).expect("a signature");
                let found = serial(&builder.build().to_der().expect("DER")).expect("a serial");
                assert_eq!(objects::spot_of(&found).0, der);
            }
        }
        assert_eq!(serial(b"no certificate"), None);
    }
}
