//! Certificates that come by mail, or lie somewhere, while a renewal waits for its authority: those for its own key are judged and taken,
//! from whomever they come; nothing else has any effect.

use std::io::{Cursor, Write};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use obnova_tests::authority::{Counted, Fault, Manner, StandIn};
use obnova_tests::{Daemon, KeyKind, Scene};
use openssl::pkcs7::Pkcs7;
use openssl::x509::X509;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{ANSWERS, PASSWORD, annas, configured, renewed};

/// A renewal that waits for an authority that takes its time.
async fn waiting() -> (StandIn, Scene, Daemon) {
    let stand_in = StandIn::start_as(Manner { at_once: false, ..Manner::default() });
    let scene = Scene::set().await;
    annas(&stand_in, KeyKind::P256).write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
    (stand_in, scene, daemon)
}

pub(super) async fn waits_with(scene: &Scene, kind: &str) {
    let waits = |item: &obnova_api::ItemView| {
        item.kind == "renewal" && item.problem.as_ref().is_some_and(|problem| problem.kind == kind)
    };
    scene.item(&format!("it waits: {kind}"), waits).await;
}

/// Has the daemon read a mail with this enclosed.
pub(super) async fn mails(scene: &Scene, name: &str, media_type: &str, content: &[u8]) {
    let mail = format!(
        "From: RA <ra@authority.example>\r\nTo: anna@example.org\r\nSubject: Your certificate\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{name}@authority.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
         Content-Type: text/plain\r\n\r\nEnclosed.\r\n--x\r\nContent-Type: {media_type}\r\nContent-Disposition: attachment; \
         filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--x--\r\n",
        BASE64_STANDARD.encode(content)
    );
    let path = scene.home().join(format!("{name}.eml"));
    std::fs::write(&path, mail).expect("written");
    scene.obnova(&["mail", "read", path.to_str().expect("UTF-8")]).await.ends(0);
}

/// The person's password is all that is still missing.
pub(super) async fn finishes(stand_in: &StandIn, scene: &Scene) {
    waits_with(scene, "no-agent").await;
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(stand_in.counted(), Counted { requests: 1, again: stand_in.counted().again, certificates: 1 });
    assert!(renewed(scene).expect("a new file").fits());
}

fn certificate(content: &[u8]) -> X509 {
    let cms = Pkcs7::from_der(content).expect("CMS");
    let signed = cms.signed().expect("signed data");
    signed.certificates().expect("certificates")[0].to_owned()
}

#[tokio::test]
async fn what_a_mail_encloses_is_taken_in_each_form() {
    for form in ["p7b", "cer", "pem", "zip"] {
        let (stand_in, scene, _daemon) = waiting().await;
        let cms = stand_in.mailed(None);
        let (media_type, content) = match form {
            "p7b" => ("application/pkcs7-mime", cms),
            "cer" => ("application/pkix-cert", certificate(&cms).to_der().expect("DER")),
            "pem" => ("application/octet-stream", certificate(&cms).to_pem().expect("PEM")),
            _ => ("application/zip", zipped(&certificate(&cms).to_der().expect("DER"))),
        };
        mails(&scene, form, media_type, &content).await;
        finishes(&stand_in, &scene).await;
    }
}

/// Somebody who has seen the request certifies its key by an authority of their own: that is refused, and the right one is taken after it.
#[tokio::test]
async fn a_stranger_s_certificate_for_our_key_is_refused_and_the_right_one_taken() {
    let (stand_in, scene, _daemon) = waiting().await;
    mails(&scene, "other", "application/pkcs7-mime", &stand_in.mailed(Some(Fault::OtherKey))).await;
    waits_with(&scene, "awaiting-issue").await;
    mails(&scene, "stranger", "application/pkcs7-mime", &stand_in.mailed(Some(Fault::OtherChain))).await;
    waits_with(&scene, "not-verified").await;
    assert_eq!(renewed(&scene).map(|new| new.sha256()), None);
    mails(&scene, "right", "application/pkcs7-mime", &stand_in.mailed(None)).await;
    finishes(&stand_in, &scene).await;
}

/// Nor does a stranger's keep the authority from handing over the right one itself.
#[tokio::test]
async fn a_stranger_s_certificate_does_not_keep_the_authority_s_out() {
    let (stand_in, scene, _daemon) = waiting().await;
    mails(&scene, "stranger", "application/pkcs7-mime", &stand_in.mailed(Some(Fault::OtherChain))).await;
    waits_with(&scene, "not-verified").await;
    stand_in.relents();
    scene.obnova_answering("password=geheim\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    let counted = stand_in.counted();
    assert_eq!((counted.requests, counted.certificates), (1, 1), "{counted:?}");
    assert!(renewed(&scene).expect("a new file").fits());
}

/// A person has saved it where certificates are watched.
#[tokio::test]
async fn what_lies_in_a_watched_directory_is_taken() {
    let (stand_in, scene, _daemon) = waiting().await;
    scene.obnova(&["watch", scene.files().to_str().expect("UTF-8")]).await.ends(0);
    scene.write("saved.cer", certificate(&stand_in.mailed(None)).to_der().expect("DER"));
    finishes(&stand_in, &scene).await;
}

/// Without a renewal that waits, a certificate in a mail is nothing.
#[tokio::test]
async fn what_nobody_waits_for_has_no_effect() {
    let stand_in = StandIn::start();
    let scene = Scene::set().await;
    let old = annas(&stand_in, KeyKind::P256);
    old.write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let _daemon = scene.start_as(configured(&scene, &stand_in, str::to_owned)).await;
    scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
    let before = scene.contents();
    mails(&scene, "old", "application/pkix-cert", &old.certificate.to_der().expect("DER")).await;
    assert_eq!(scene.contents(), before);
    let renewals = scene.obnova(&["renewals", "--all", "--json"]).await.ends(0).json();
    assert_eq!(renewals.as_array().map(Vec::len), Some(0));
}

/// An archive with this in it.
fn zipped(content: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("certificate.cer", SimpleFileOptions::default()).expect("a file");
    archive.write_all(content).expect("written");
    archive.finish().expect("an archive").into_inner()
}
