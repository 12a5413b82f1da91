//! The keys, certificates and signed requests that tests of authorities are made of. OpenSSL makes all but the requests.

use chrono::{DateTime, Utc};
use obnovad::authorities::signed_request::{Request, certification_request, message, signed_attributes};
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time, Asn1Type};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::extension::{ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509Extension, X509NameBuilder};

/// Every kind of key that signs here.
pub(crate) fn kinds() -> [PKey<Private>; 3] {
    [rsa(2048), curve(Nid::X9_62_PRIME256V1), curve(Nid::SECP384R1)]
}

pub(crate) fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key")
}

pub(crate) fn curve(nid: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(nid).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

pub(crate) fn public(key: &PKey<Private>) -> Vec<u8> {
    key.public_key_to_der().expect("DER")
}

pub(crate) fn moment(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("a time").to_utc()
}

/// `certificatePolicies` with one policy of a qualified certificate (ETSI EN 319 411-2: QCP-n).
pub(crate) const POLICIES: &[u8] = b"\x30\x0b\x30\x09\x06\x07\x04\x00\x8b\xec\x40\x01\x00";

/// A certificate as people have them, valid in November 2026, for somebody with this common name and address.
pub(crate) fn old(key: &PKey<Private>, name: &str, address: &str) -> Vec<u8> {
    let mut builder = X509Builder::new().expect("a builder");
    builder.set_version(2).expect("set");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(100, MsbOption::ONE, false).expect("random");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a serial")).expect("set");
    let mut subject = X509NameBuilder::new().expect("a name");
    subject.append_entry_by_text("C", "CZ").expect("an entry");
    subject.append_entry_by_text("L", "Žďár").expect("an entry");
    // As old authorities wrote names: it must not come back as UTF8String.
    subject.append_entry_by_text_with_type("CN", name, Asn1Type::T61STRING).expect("an entry");
    builder.set_subject_name(&subject.build()).expect("set");
    let mut issuer = X509NameBuilder::new().expect("a name");
    issuer.append_entry_by_text("CN", "Some authority").expect("an entry");
    builder.set_issuer_name(&issuer.build()).expect("set");
    builder.set_pubkey(key).expect("set");
    let time = |text: &str| Asn1Time::from_unix(moment(text).timestamp()).expect("a time");
    builder.set_not_before(&time("2026-11-01T00:00:00Z")).expect("set");
    builder.set_not_after(&time("2026-11-30T23:59:59Z")).expect("set");
    let names = SubjectAlternativeName::new().email(address).build(&builder.x509v3_context(None, None)).expect("names");
    let policies = X509Extension::new_from_der(
        &Asn1Object::from_str("2.5.29.32").expect("an OID"),
        false,
        &Asn1OctetString::new_from_bytes(POLICIES).expect("octets"),
    );
    for extension in [
        names,
        KeyUsage::new().critical().digital_signature().key_encipherment().build().expect("usage"),
        ExtendedKeyUsage::new().email_protection().build().expect("usage"),
        policies.expect("policies"),
    ] {
        builder.append_extension(extension).expect("appended");
    }
    builder.sign(key, digest(key)).expect("signed");
    builder.build().to_der().expect("DER")
}

pub(crate) fn sign(key: &PKey<Private>, message: &[u8]) -> Vec<u8> {
    Signer::new(digest(key), key).expect("a signer").sign_oneshot_to_vec(message).expect("a signature")
}

/// The PKCS #10 request to renew `old` for the key `new`.
pub(crate) fn request(old: &[u8], new: &PKey<Private>) -> Vec<u8> {
    let info = Request { old, public_key: &public(new) }.encode().expect("a request");
    certification_request(&info, &sign(new, &info)).expect("a request")
}

/// The message that authorises a PKCS #10 request by the key of `old`.
pub(crate) fn authorised(pkcs10: &[u8], old: &[u8], old_key: &PKey<Private>, now: DateTime<Utc>) -> Vec<u8> {
    let attributes = signed_attributes(pkcs10, old, now).expect("attributes");
    message(pkcs10, old, &attributes, &sign(old_key, &attributes)).expect("a message")
}

fn digest(key: &PKey<Private>) -> MessageDigest {
    if key.bits() == 384 { MessageDigest::sha384() } else { MessageDigest::sha256() }
}
