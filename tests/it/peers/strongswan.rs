//! Our stand-in for an authority is understood by others: strongSwan's client enrols with it by EST, logging in with the old key. What
//! it counts for us is then what it would count for anybody.

use std::path::Path;
use std::process::Stdio;

use obnova_tests::KeyKind;
use obnova_tests::authority::{Counted, StandIn};
use obnova_tests::twins::Use;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509ReqBuilder};
use tokio::process::Command;

#[tokio::test]
async fn strongswan_enrols_with_the_stand_in() {
    let there = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/strongswan.sh")).output().await;
    let there = there.expect("strongswan.sh runs");
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    let pki = String::from_utf8(there.stdout).expect("UTF-8");

    let stand_in = StandIn::start();
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (old, new) = (KeyKind::Rsa(2048).generate(), KeyKind::Rsa(2048).generate());
    let public = PKey::public_key_from_der(&old.public_key_to_der().expect("DER")).expect("a public key");
    let certificate = stand_in.issued("Anna Novak", &public, Use::Everyday, 20);
    let mut request = X509ReqBuilder::new().expect("a request");
    request.set_subject_name(certificate.subject_name()).expect("a name");
    request.set_pubkey(&new).expect("a key");
    request.sign(&new, MessageDigest::sha256()).expect("signed");

    let url = stand_in.url();
    let request = write("request.der", &request.build().to_der().expect("DER"));
    let authority = write("authority.pem", &stand_in.certificate().to_pem().expect("PEM"));
    let tls = write("tls.pem", &stand_in.tls_anchor().to_pem().expect("PEM"));
    let old_certificate = write("old.pem", &certificate.to_pem().expect("PEM"));
    let old_key = write("old.key", &old.rsa().expect("RSA").private_key_to_pem().expect("PEM"));
    let enrol = ["--est", "--url", &url, "--in", &request, "--cacert", &authority, "--cacert", &tls];
    let enrolled = Command::new(pki.trim())
        .args(enrol)
        .args(["--cert", &old_certificate, "--key", &old_key])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("pki runs");
    let said = String::from_utf8_lossy(&enrolled.stderr);
    assert!(enrolled.status.success(), "{said}");
    let made = X509::from_der(&enrolled.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(made.public_key().expect("a key").public_eq(&new), "{said}");
    assert_eq!(stand_in.counted(), Counted { requests: 1, again: 0, certificates: 1 });
}
