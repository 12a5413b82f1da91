//! Self-made certificates, judged by OpenSSL.

use chrono::{DateTime, Duration, Utc};
use obnova_core::Certificate;
use obnovad::authorities::name;
use obnovad::authorities::self_signed::{Request, answers, assemble};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key")
}

fn curve(nid: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(nid).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

/// A certificate as people have them; `extended`: with extensions, else of version 1.
fn old(key: &PKey<Private>, extended: bool) -> Vec<u8> {
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("C", "CZ").expect("an entry");
    name.append_entry_by_text("CN", "Nováková, Anna").expect("an entry");
    let name = name.build();
    let mut builder = X509Builder::new().expect("a builder");
    builder.set_subject_name(&name).expect("set");
    builder.set_issuer_name(&name).expect("set");
    builder.set_pubkey(key).expect("set");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("set");
    builder.set_not_after(&Asn1Time::days_from_now(20).expect("a time")).expect("set");
    if extended {
        builder.set_version(2).expect("set");
        let context = |builder: &X509Builder,
                       make: &dyn Fn(&openssl::x509::X509v3Context<'_>) -> openssl::x509::X509Extension| {
            make(&builder.x509v3_context(None, None))
        };
        let extensions: [&dyn Fn(&openssl::x509::X509v3Context<'_>) -> openssl::x509::X509Extension; 6] = [
            &|_| BasicConstraints::new().critical().ca().build().expect("constraints"),
            &|_| KeyUsage::new().critical().digital_signature().key_encipherment().build().expect("usage"),
            &|_| ExtendedKeyUsage::new().email_protection().build().expect("usage"),
            &|context| {
                SubjectAlternativeName::new().email("anna@example.org").dns("mail.example.org").build(context).expect("names")
            },
            &|context| SubjectKeyIdentifier::new().build(context).expect("identifier"),
            &|context| AuthorityKeyIdentifier::new().keyid(true).build(context).expect("identifier"),
        ];
        for make in extensions {
            let extension = context(&builder, make);
            builder.append_extension(extension).expect("appended");
        }
    }
    builder.sign(key, MessageDigest::sha256()).expect("signed");
    builder.build().to_der().expect("DER")
}

fn renew(old: &[u8], key: &PKey<Private>, not_after: DateTime<Utc>, digest: MessageDigest) -> Vec<u8> {
    let public_key = key.public_key_to_der().expect("DER");
    let not_before = DateTime::from_timestamp(Utc::now().timestamp(), 0).expect("a time");
    let request = Request { old, public_key: &public_key, serial: [0xff; 16], not_before, not_after, subject: None }
        .encode()
        .expect("a request");
    let signature = Signer::new(digest, key).expect("a signer").sign_oneshot_to_vec(&request).expect("a signature");
    let certificate = assemble(&request, &signature).expect("a certificate");
    assert!(answers(&certificate, &request));
    assert!(!answers(old, &request));
    certificate
}

#[test]
fn every_kind_of_key_signs_what_openssl_accepts() {
    let old = old(&rsa(), true);
    let end = Utc::now() + Duration::days(365);
    for (key, digest) in [
        (rsa(), MessageDigest::sha256()),
        (curve(Nid::X9_62_PRIME256V1), MessageDigest::sha256()),
        (curve(Nid::SECP384R1), MessageDigest::sha384()),
    ] {
        let new = X509::from_der(&renew(&old, &key, end, digest)).expect("OpenSSL reads it");
        assert!(new.verify(&key).expect("verified"));
        assert!(new.public_key().expect("a key").public_eq(&key));
    }
}

#[test]
fn subject_names_and_usages_are_kept_and_the_key_identifiers_are_not() {
    let (old_key, new_key) = (rsa(), rsa());
    let old = old(&old_key, true);
    let new = renew(&old, &new_key, Utc::now() + Duration::days(365), MessageDigest::sha256());
    let (before, after) = (Certificate::from_der(&old).expect("read"), Certificate::from_der(&new).expect("read"));
    assert_eq!((before.subject(), before.holder), (after.subject(), after.holder));
    assert_eq!((before.usage, before.authority), (after.usage, after.authority));
    assert_ne!(before.serial(), after.serial());
    assert_ne!(before.public_key, after.public_key);
    let (before, after) = (X509::from_der(&old).expect("read"), X509::from_der(&new).expect("read"));
    let identifier = |certificate: &X509| certificate.subject_key_id().expect("there").as_slice().to_vec();
    assert_ne!(identifier(&before), identifier(&after));
    assert_eq!(identifier(&after), after.authority_key_id().expect("there").as_slice());
    let text = |certificate: &X509| String::from_utf8_lossy(&certificate.to_text().expect("text")).into_owned();
    for kept in
        ["email:anna@example.org, DNS:mail.example.org", "E-mail Protection", "CA:TRUE", "Digital Signature, Key Encipherment"]
    {
        assert!(text(&before).contains(kept) && text(&after).contains(kept), "{kept}");
    }
}

#[test]
fn a_version_1_certificate_stays_one() {
    let new = renew(&old(&rsa(), false), &rsa(), Utc::now() + Duration::days(30), MessageDigest::sha256());
    assert_eq!(X509::from_der(&new).expect("read").version(), 0);
}

#[test]
fn a_life_beyond_2049_is_written_as_the_standard_wants_it() {
    let end = DateTime::parse_from_rfc3339("2061-05-04T03:02:01Z").expect("a time").to_utc();
    let new = renew(&old(&rsa(), true), &rsa(), end, MessageDigest::sha256());
    assert_eq!(Certificate::from_der(&new).expect("read").not_after, end);
    // 0x18: GeneralizedTime.
    assert!(new.windows(17).any(|window| window == b"\x18\x0f20610504030201Z"));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let key = rsa().public_key_to_der().expect("DER");
    let now = Utc::now();
    for old in [&b""[..], b"\x30\x00", &[0x30; 400]] {
        let request = Request { old, public_key: &key, serial: [1; 16], not_before: now, not_after: now, subject: None };
        assert!(request.encode().is_err());
    }
    assert!(assemble(b"\x30\x00", b"x").is_err());
}

#[test]
fn another_name_is_what_openssl_would_have_made() {
    let attributes = [("C", "DE"), ("O", "Kanzlei Nová, s. r. o."), ("CN", "Anna Nová")];
    let mut expected = X509NameBuilder::new().expect("a name");
    for (key, value) in attributes {
        expected.append_entry_by_text(key, value).expect("an entry");
    }
    let made = name::encode(&attributes).expect("a name");
    assert_eq!(made, expected.build().to_der().expect("DER"));
    assert_eq!(Certificate::name_text(&made).expect("a name"), "CN=Anna Nová,O=Kanzlei Nová\\, s. r. o.,C=DE");
    assert!(name::encode(&[("X", "y")]).is_err() && name::encode(&[("C", "Č")]).is_err());

    let key = curve(Nid::X9_62_PRIME256V1);
    let (old, public_key) = (old(&key, true), key.public_key_to_der().expect("DER"));
    let now = Utc::now();
    let request =
        Request { old: &old, public_key: &public_key, serial: [1; 16], not_before: now, not_after: now, subject: Some(&made) };
    let request = request.encode().expect("encoded");
    let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
    let signature = signer.sign_oneshot_to_vec(&request).expect("signed");
    let certificate = assemble(&request, &signature).expect("assembled");
    let parsed = X509::from_der(&certificate).expect("a certificate");
    for shown in [parsed.subject_name(), parsed.issuer_name()] {
        assert_eq!(shown.to_der().expect("DER"), made);
    }
    let expected = Certificate::holder_with_subject(&old, &made).expect("a certificate");
    assert_eq!(Certificate::from_der(&certificate).expect("a certificate").holder, expected);
}
