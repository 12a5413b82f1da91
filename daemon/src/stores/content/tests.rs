use proptest::prelude::*;

use super::*;

fn block(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A certificate made with the openssl program's library: the parser is the core's, the framing is ours.
fn certificate() -> Vec<u8> {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
    let key = PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key");
    let mut builder = openssl::x509::X509::builder().expect("builder");
    builder.set_version(2).expect("version");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("time")).expect("time");
    builder.set_not_after(&Asn1Time::days_from_now(20).expect("time")).expect("time");
    builder.set_pubkey(&key).expect("key");
    builder.sign(&key, MessageDigest::sha256()).expect("signature");
    builder.build().to_der().expect("DER")
}

#[test]
fn trust_settings_behind_a_certificate_are_cut_off() {
    let der = certificate();
    let with_settings = BASE64.encode([der.as_slice(), &[0x30, 0x03, 0x0c, 0x01, b'x']].concat());
    let trusted = Contents::of(block("TRUSTED CERTIFICATE", &with_settings).as_bytes());
    assert_eq!(trusted.certificates[0].1, der);
    let plain = Contents::of(block("CERTIFICATE", &with_settings).as_bytes());
    assert!(plain.certificates.is_empty() && plain.fault.is_some(), "elsewhere they are a fault");
}

#[test]
fn one_bad_block_spoils_no_other() {
    let good = block("CERTIFICATE", &BASE64.encode(certificate()));
    let text =
        [&block("CERTIFICATE", "!!"), "-----BEGIN CERTIFICATE-----\nMIIB\n", good.as_str(), "-----BEGIN X-----"].concat();
    let contents = Contents::of(text.as_bytes());
    assert_eq!(contents.certificates.len(), 1);
    assert!(contents.fault.is_some());
}

#[test]
fn the_number_of_certificates_is_bounded() {
    let text = block("CERTIFICATE", &BASE64.encode(certificate())).repeat(MOST + 1);
    assert_eq!(Contents::of(text.as_bytes()).certificates.len(), MOST);
}

#[test]
fn keys_are_told_by_label_and_never_decoded() {
    for label in ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let contents = Contents::of(block(label, "not base64 at all!").as_bytes());
        assert!(contents.key && contents.fault.is_none(), "{label}");
        assert!(holds_key(block(label, "!").as_bytes()));
    }
    assert!(!holds_key(block("PUBLIC KEY", "AAAA").as_bytes()));
    assert!(!holds_key(&certificate()));
}

#[test]
fn a_package_is_no_key() {
    assert!(!is_key_shaped(&[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03, 0x30]));
    assert!(is_key_shaped(&[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30]));
}

/// Texts that are nearly PEM.
fn nearly_pem() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"-----BEGIN CERTIFICATE-----".to_vec()),
        Just(b"-----END CERTIFICATE-----".to_vec()),
        Just(b"-----BEGIN TRUSTED CERTIFICATE-----".to_vec()),
        Just(b"-----BEGIN EC PRIVATE KEY-----".to_vec()),
        Just(b"-----BEGIN ".to_vec()),
        Just(b"-----".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        "[A-Za-z0-9+/=]{0,80}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_is_nearly_pem_panics(bytes in nearly_pem()) {
        let contents = Contents::of(&bytes);
        prop_assert!(contents.certificates.is_empty());
        prop_assert_eq!(contents.key, holds_key(&bytes));
    }

    #[test]
    fn nothing_that_is_nearly_der_panics(mut bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        bytes[0] = SEQUENCE;
        prop_assert!(Contents::of(&bytes).certificates.is_empty());
        prop_assert!(first_element(&bytes).len() <= bytes.len());
    }

    #[test]
    fn a_damaged_certificate_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut der = certificate();
        let position = at.index(der.len());
        der[position] = byte;
        der.truncate(cut.index(der.len()) + 1);
        let text = block("CERTIFICATE", &BASE64.encode(&der));
        let contents = Contents::of(text.as_bytes());
        prop_assert!(contents.certificates.iter().all(|(_, read)| *read == der));
        prop_assert_eq!(contents.certificates.is_empty(), contents.fault.is_some());
    }
}
