//! Signed requests, judged by the openssl program, which knows nothing of us.

mod paper;

use std::fs;
use std::process::Command;

use obnovad::authorities::signed_request::{
    Request, RequestError, certification_request, message, renewed_certificate, signed_attributes,
};
use openssl::nid::Nid;
use openssl::x509::{X509, X509Req};
use paper::{authorised, curve, kinds, moment, old, public, request, rsa, sign};
use proptest::prelude::*;
use tempfile::TempDir;

const NAME: &str = "Anna Novakova";
const ADDRESS: &str = "anna@example.org";
const NOW: &str = "2026-11-09T08:07:06Z";

/// A scratch directory in which the openssl program looks at what was made.
struct Witness(TempDir);

impl Witness {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        for (name, content) in files {
            fs::write(directory.path().join(name), content).expect("write");
        }
        Self(directory)
    }

    /// What openssl prints on both of its outputs, and whether it is content.
    fn says(&self, arguments: &str) -> (bool, String) {
        let mut command = Command::new("timeout");
        command.args(["60", "openssl"]).args(arguments.split(' ')).current_dir(self.0.path());
        let output = command.output().expect("openssl is installed");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn approves(&self, arguments: &str) -> String {
        let (content, text) = self.says(arguments);
        assert!(content, "openssl {arguments}: {text}");
        text
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).expect("read")
    }
}

#[test]
fn openssl_accepts_requests_for_and_by_every_kind_of_key() {
    for old_key in kinds() {
        let old = old(&old_key, NAME, ADDRESS);
        for new_key in kinds() {
            let pkcs10 = request(&old, &new_key);
            let message = authorised(&pkcs10, &old, &old_key, moment(NOW));
            let witness = Witness::of(&[("old.crt", &old), ("new.req", &pkcs10), ("message", &message)]);
            let verified = witness.approves("req -inform DER -in new.req -noout -verify");
            assert!(verified.contains("self-signature verify OK"), "{verified}");
            let verified =
                witness.approves("cms -verify -noverify -binary -inform DER -in message -out content -signer who.pem");
            assert!(verified.contains("Verification successful"), "{verified}");
            assert_eq!(witness.read("content"), pkcs10);
            assert_eq!(X509::from_pem(&witness.read("who.pem")).expect("PEM").to_der().expect("DER"), old);
            let parsed = X509Req::from_der(&pkcs10).expect("OpenSSL reads it");
            assert!(parsed.public_key().expect("a key").public_eq(&new_key));
        }
    }
}

#[test]
fn the_signing_certificate_is_bound_as_cades_wants_it() {
    for key in kinds() {
        let old = old(&key, NAME, ADDRESS);
        let pkcs10 = request(&old, &rsa(2048));
        let message = authorised(&pkcs10, &old, &key, moment(NOW));
        let trusted = X509::from_der(&old).expect("read").to_pem().expect("PEM");
        let witness = Witness::of(&[("old.pem", &trusted), ("message", &message)]);
        let trusting = "-CAfile old.pem -partial_chain -no_check_time -purpose any";
        witness.approves(&format!("cms -verify -cades {trusting} -binary -inform DER -in message -out content"));
        let printed = witness.approves("cms -cmsout -print -noout -inform DER -in message");
        for expected in ["id-smime-aa-signingCertificateV2", "signingTime", "Nov  9 08:07:06 2026 GMT", "messageDigest"] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
    }
}

#[test]
fn subject_and_extensions_come_from_the_old_certificate_byte_for_byte() {
    let key = rsa(2048);
    let old = old(&key, NAME, ADDRESS);
    let pkcs10 = request(&old, &curve(Nid::X9_62_PRIME256V1));
    let (certificate, parsed) = (X509::from_der(&old).expect("read"), X509Req::from_der(&pkcs10).expect("read"));
    assert_eq!(parsed.version(), 0);
    assert_eq!(parsed.subject_name().to_der().expect("DER"), certificate.subject_name().to_der().expect("DER"));
    let asked: Vec<Vec<u8>> = parsed.extensions().expect("some").iter().map(|one| one.to_der().expect("DER")).collect();
    assert_eq!(asked.len(), 4);
    for extension in asked {
        assert!(old.windows(extension.len()).any(|window| window == extension), "{extension:02x?}");
    }

    let witness = Witness::of(&[("old.crt", &old), ("new.req", &pkcs10)]);
    let shown = |what: &str| witness.approves(&format!("{what} -noout -subject -nameopt RFC2253,show_type"));
    assert_eq!(shown("x509 -in old.crt"), shown("req -inform DER -in new.req"));
    let text = witness.approves("req -inform DER -in new.req -noout -text");
    let of_the_old = witness
        .approves("x509 -in old.crt -noout -ext subjectAltName,keyUsage,extendedKeyUsage,certificatePolicies")
        .replace(char::is_whitespace, "");
    assert!(of_the_old.contains("critical") && of_the_old.contains(ADDRESS), "{of_the_old}");
    assert!(text.replace(char::is_whitespace, "").contains(&of_the_old), "{text}");
    let structure = witness.approves("asn1parse -inform DER -in new.req");
    assert!(structure.contains("1.3.6.1.4.1.311.13.1") && structure.contains("Extension Request"), "{structure}");
}

#[test]
fn the_renewed_certificate_stands_among_the_attributes() {
    let key = rsa(2048);
    let old = old(&key, NAME, ADDRESS);
    let pkcs10 = request(&old, &rsa(2048));
    assert_eq!(renewed_certificate(&pkcs10).expect("there"), old);
    // A request that somebody else made, without that attribute.
    let mut foreign = X509Req::builder().expect("a builder");
    foreign.set_pubkey(&key).expect("set");
    foreign.sign(&key, openssl::hash::MessageDigest::sha256()).expect("signed");
    let error = renewed_certificate(&foreign.build().to_der().expect("DER")).expect_err("no attribute");
    assert!(matches!(error, RequestError::NoRenewal), "{error:?}");
}

#[test]
fn a_certificate_without_extensions_asks_for_none() {
    let key = rsa(2048);
    let mut builder = openssl::x509::X509Builder::new().expect("a builder");
    builder.set_pubkey(&key).expect("set");
    builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(0).expect("a time")).expect("set");
    builder.set_not_after(&openssl::asn1::Asn1Time::from_unix(1).expect("a time")).expect("set");
    builder.sign(&key, openssl::hash::MessageDigest::sha256()).expect("signed");
    let old = builder.build().to_der().expect("DER");
    let pkcs10 = request(&old, &rsa(2048));
    let witness = Witness::of(&[("new.req", &pkcs10)]);
    witness.approves("req -inform DER -in new.req -noout -verify");
    let structure = witness.approves("asn1parse -inform DER -in new.req");
    assert!(structure.contains("1.3.6.1.4.1.311.13.1") && !structure.contains("Extension Request"), "{structure}");
}

#[test]
fn the_witness_tells_what_was_changed_afterwards() {
    let key = rsa(2048);
    let old = old(&key, NAME, ADDRESS);
    let pkcs10 = request(&old, &rsa(2048));
    let attributes = signed_attributes(&pkcs10, &old, moment(NOW)).expect("attributes");
    let other_time = signed_attributes(&pkcs10, &old, moment("2026-11-09T08:07:07Z")).expect("attributes");
    let other_request = request(&old, &rsa(2048));
    let signature = sign(&key, &attributes);
    for (content, attributes, right) in
        [(&pkcs10, &attributes, true), (&other_request, &attributes, false), (&pkcs10, &other_time, false)]
    {
        let message = message(content, &old, attributes, &signature).expect("a message");
        let witness = Witness::of(&[("message", &message)]);
        let (content, text) = witness.says("cms -verify -noverify -binary -inform DER -in message -out content");
        assert_eq!(content, right, "{text}");
    }
}

#[test]
fn keys_that_do_not_sign_here_are_refused_at_once() {
    let ed25519 = openssl::pkey::PKey::generate_ed25519().expect("a key");
    let old = old(&rsa(2048), NAME, ADDRESS);
    for key in [ed25519, curve(Nid::SECP521R1)] {
        let error = Request { old: &old, public_key: &public(&key) }.encode().expect_err("refused");
        assert!(matches!(error, RequestError::Algorithm(_)), "{error:?}");
    }
}

/// Whatever is done with a certificate, a request and attributes that may be damaged.
fn try_all(old: &[u8], public_key: &[u8], pkcs10: &[u8], attributes: &[u8]) -> [bool; 5] {
    [
        Request { old, public_key }.encode().is_ok(),
        certification_request(pkcs10, b"signature").is_ok(),
        renewed_certificate(pkcs10).is_ok(),
        signed_attributes(pkcs10, old, moment(NOW)).is_ok(),
        message(pkcs10, old, attributes, b"signature").is_ok(),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(try_all(&bytes, &bytes, &bytes, &bytes), [false; 5]);
    }

    #[test]
    fn no_damage_panics(position in any::<prop::sample::Index>(), bits in 1..=u8::MAX, cut in any::<prop::sample::Index>()) {
        use std::sync::LazyLock;
        static SOUND: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
            let key = curve(Nid::X9_62_PRIME256V1);
            let old = old(&key, NAME, ADDRESS);
            let pkcs10 = request(&old, &key);
            let attributes = signed_attributes(&pkcs10, &old, moment(NOW)).expect("attributes");
            [old, public(&key), pkcs10, attributes]
        });
        let damaged = SOUND.clone().map(|mut bytes| {
            let position = position.index(bytes.len());
            bytes[position] ^= bits;
            bytes
        });
        // What a flipped bit makes of it may still be sound; only a panic is wrong.
        let [old, key, pkcs10, attributes] = &damaged;
        let _: [bool; 5] = try_all(old, key, pkcs10, attributes);
        let [old, key, pkcs10, attributes] = SOUND.each_ref().map(|bytes| &bytes[..cut.index(bytes.len())]);
        prop_assert_eq!(try_all(old, key, pkcs10, attributes), [false; 5]);
    }
}
