//! New keys beside the old ones: made, used, certified, and seen by others.

use obnova_core::certificate::KeyAlgorithm;
use obnova_tests::token::issued;
use obnova_tests::{KeyKind, Recipe};
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use openssl::derive::Deriver;
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;

use super::{COMMERCIAL, QUALIFIED, Twins, generating, key_of, present, spot, verifies};

const MESSAGE: &[u8] = "Žádost o následný certifikát".as_bytes();

#[tokio::test]
async fn old_keys_sign() {
    let twins = Twins::new();
    for (id, certificate) in [(QUALIFIED, &twins.qualified), (COMMERCIAL, &twins.commercial)] {
        let key = key_of(certificate);
        let signature = twins.sign(id, &key, MESSAGE).await.expect("a signature");
        assert!(verifies(&key, MessageDigest::sha256(), MESSAGE, &signature));
    }
    let key = twins.token.generate("01", "other", KeyKind::P384, &["--usage-sign"]);
    let signature = twins.sign("01", &key, MESSAGE).await.expect("a signature");
    assert!(verifies(&key, MessageDigest::sha384(), MESSAGE, &signature));
}

#[tokio::test]
async fn an_always_key_gets_the_pin_between_beginning_and_message() {
    let twins = Twins::new();
    let sign = async |id: &str, key: PKey<Public>| {
        let step =
            CardStep::Sign { spot: spot(id), public_key: super::der(&key), message: obnova_core::job::Bytes(MESSAGE.to_vec()) };
        twins.step_through(&twins.token.between(""), step).await.expect("a signature");
        let wanted = ["C_Login", "C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal", "C_Logout"];
        let mut calls = twins.token.calls();
        calls.retain(|call| wanted.contains(&call.as_str()));
        calls.dedup();
        calls
    };
    let always = sign(QUALIFIED, key_of(&twins.qualified)).await;
    assert_eq!(always, ["C_Login", "C_SignInit", "C_Login", "C_SignUpdate", "C_SignFinal", "C_Logout"]);
    let plain = sign(COMMERCIAL, key_of(&twins.commercial)).await;
    assert_eq!(plain, ["C_Login", "C_SignInit", "C_Sign", "C_Logout"]);
}

#[tokio::test]
async fn a_key_that_is_not_the_right_one_does_not_sign() {
    let twins = Twins::new();
    let stranger = KeyKind::P256.generate();
    let stranger = PKey::public_key_from_der(&stranger.public_key_to_der().expect("DER")).expect("a key");
    for (id, key) in [
        (COMMERCIAL, stranger),
        (COMMERCIAL, key_of(&twins.qualified)),
        (QUALIFIED, key_of(&twins.commercial)),
        ("99", key_of(&twins.commercial)),
        ("", key_of(&twins.commercial)),
    ] {
        assert_eq!(twins.sign(id, &key, MESSAGE).await, Err(CardError::KeyMissing { spot: spot(id) }));
    }
}

/// SoftHSM has ECDSA for a digest alone, which leaves no moment for the PIN.
#[tokio::test]
async fn what_a_token_cannot_do_with_an_always_key_is_said_before_anything_is_made() {
    let twins = Twins::new();
    let before = twins.token.objects();
    let error = twins.generate("01", KeyAlgorithm::P256, QUALIFIED, "new").await.expect_err("it could not sign");
    assert!(matches!(error, CardError::Unsupported { .. }), "{error:?}");
    assert_eq!(twins.token.objects(), before);
    let key = twins.token.generate("02", "always", KeyKind::P256, &["--always-auth", "--usage-sign"]);
    let error = twins.sign("02", &key, MESSAGE).await.expect_err("it cannot sign");
    assert!(matches!(error, CardError::Unsupported { .. }), "{error:?}");
}

#[tokio::test]
async fn new_keys_are_like_the_old_ones_and_others_sign_with_them() {
    let twins = Twins::new();
    let before = twins.token.objects();
    let access = |shown: &str| line(shown, "Access:").split(", ").map(str::to_owned).collect::<Vec<_>>();
    for (id, algorithm, like) in [
        ("5101", KeyAlgorithm::Rsa(2048), QUALIFIED),
        ("5102", KeyAlgorithm::P256, COMMERCIAL),
        ("5103", KeyAlgorithm::Rsa(3072), QUALIFIED),
        ("5104", KeyAlgorithm::P384, COMMERCIAL),
    ] {
        let key = twins.generate(id, algorithm, like, "nový").await.expect("a key");
        assert!(key.public_eq(&twins.token.public_key(id)));
        let (shown, old) = (twins.token.private_key(id), twins.token.private_key(like));
        assert_eq!(line(&shown, "label:"), "nový");
        assert_eq!(line(&shown, "Usage:"), line(&old, "Usage:"));
        let access = access(&shown);
        assert_eq!(access.contains(&"always authenticate".to_owned()), like == QUALIFIED, "{shown}");
        for protection in ["sensitive", "always sensitive", "never extractable", "local"] {
            assert!(access.contains(&protection.to_owned()), "{shown}");
        }
        let digest = if algorithm == KeyAlgorithm::P384 { MessageDigest::sha384() } else { MessageDigest::sha256() };
        let signature = twins.sign(id, &key, MESSAGE).await.expect("a signature");
        assert!(verifies(&key, digest, MESSAGE, &signature));
        assert!(verifies(&key, MessageDigest::sha256(), MESSAGE, &twins.token.sign(id, MESSAGE)));
        assert_eq!(twins.state(id).await.expect("a key").key, present(&key));
    }
    let after = twins.token.objects();
    assert!(after.is_superset(&before));
    assert_eq!(after.len(), before.len() + 8, "a private and a public key each");
}

/// SoftHSM allows each use that is not named, so that only the module in between can show an old key for signatures alone.
#[tokio::test]
async fn what_the_old_key_may_not_do_the_new_one_may_not_either() {
    let twins = Twins::new();
    assert_eq!(line(&twins.token.private_key(QUALIFIED), "Usage:"), "decrypt, sign, unwrap");
    let step = generating("5101", KeyAlgorithm::Rsa(2048), QUALIFIED, "new");
    twins.step_through(&twins.token.between("forbid C_GetAttributeValue"), step).await.expect("a key");
    assert_eq!(line(&twins.token.private_key("5101"), "Usage:"), "sign");
    let outcome = twins.decrypt("5101", &twins.token.public_key("5101"), &[1; 256]).await;
    assert!(matches!(outcome, Err(CardError::Unsupported { .. })), "{outcome:?}");
}

fn line(shown: &str, name: &str) -> String {
    shown.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn a_spot_where_anything_lies_is_occupied() {
    let twins = Twins::new();
    twins.token.write("02", "authority", &twins.authority.certificate);
    let before = twins.token.listing();
    for id in [QUALIFIED, COMMERCIAL, "02"] {
        let outcome = twins.generate(id, KeyAlgorithm::P256, COMMERCIAL, "new").await;
        assert_eq!(outcome.err(), Some(CardError::Occupied { spot: spot(id) }));
    }
    let outcome = twins.generate("03", KeyAlgorithm::P256, "99", "new").await;
    assert_eq!(outcome.err(), Some(CardError::KeyMissing { spot: spot("99") }));
    for (id, algorithm) in
        [("", KeyAlgorithm::P256), ("x", KeyAlgorithm::P256), ("03", KeyAlgorithm::Other), ("03", KeyAlgorithm::Rsa(20000))]
    {
        let outcome = twins.generate(id, algorithm, COMMERCIAL, "new").await;
        assert!(matches!(outcome, Err(CardError::Unsupported { .. })), "{outcome:?}");
    }
    assert_eq!(twins.token.listing(), before);
}

#[tokio::test]
async fn a_certificate_is_installed_once_beside_its_key() {
    let twins = Twins::new();
    let key = twins.generate("5102", KeyAlgorithm::P256, COMMERCIAL, "new").await.expect("a key");
    let certificate = issued("Anna Nová", "anna@example.org", &key, &twins.authority, 365);
    let before = twins.token.objects();
    for _ in 0..2 {
        assert_eq!(twins.install("5102", &certificate, "nový").await, Ok(CardAnswer::Done {}));
    }
    let after = twins.token.objects();
    let new = ("Certificate".to_owned(), "5102".to_owned(), "nový".to_owned());
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), [&new]);
    assert_eq!(twins.token.listing().matches("Certificate Object").count(), 3, "once");
    let der = certificate.to_der().expect("DER");
    assert_eq!(twins.token.certificate("5102"), der);
    let state = twins.state("5102").await.expect("one state");
    assert_eq!((state.certificate.map(|found| found.0), state.key), (Some(der), present(&key)));

    // Found by others by what it names, too.
    let shown = twins.token.listing();
    assert!(shown.contains("subject:    DN: C=CZ, CN=Anna Nov"), "{shown}");
}

#[tokio::test]
async fn a_certificate_of_another_key_is_not_installed() {
    let twins = Twins::new();
    let before = twins.token.listing();
    let of_nobody = Recipe::new("Nobody").make().certificate;
    for (id, certificate) in [(COMMERCIAL, &twins.qualified), (QUALIFIED, &of_nobody), ("99", &of_nobody)] {
        assert_eq!(twins.install(id, certificate, "new").await, Err(CardError::KeyMissing { spot: spot(id) }));
    }
    assert_eq!(twins.token.listing(), before);
    // The key is right, but a certificate of another one lies beside it.
    let key = twins.generate("5102", KeyAlgorithm::P256, COMMERCIAL, "new").await.expect("a key");
    twins.token.write("5102", "strange", &of_nobody);
    let certificate = issued("Anna Nová", "anna@example.org", &key, &twins.authority, 365);
    assert_eq!(twins.install("5102", &certificate, "new").await, Err(CardError::Occupied { spot: spot("5102") }));
}

#[tokio::test]
async fn keys_decrypt_and_agree() {
    let twins = Twins::new();
    let key = twins.token.generate("4103", "encryption", KeyKind::Rsa(2048), &["--usage-decrypt"]);
    let mut encrypter = Encrypter::new(&key).expect("an encrypter");
    encrypter.set_rsa_padding(Padding::PKCS1).expect("a padding");
    let mut ciphertext = vec![0; encrypter.encrypt_len(MESSAGE).expect("a length")];
    let length = encrypter.encrypt(MESSAGE, &mut ciphertext).expect("encrypted");
    ciphertext.truncate(length);
    assert_eq!(twins.decrypt("4103", &key, &ciphertext).await.expect("the message"), MESSAGE);

    for (id, kind) in [("4104", KeyKind::P256), ("4105", KeyKind::P384)] {
        let key = twins.token.generate(id, "agreement", kind, &["--usage-derive"]);
        let other = kind.generate();
        let mut deriver = Deriver::new(&other).expect("a deriver");
        deriver.set_peer(&key).expect("a peer");
        let secret = deriver.derive_to_vec().expect("a secret");
        let curve = other.ec_key().expect("a curve");
        let mut context = openssl::bn::BigNumContext::new().expect("a context");
        let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
        let point = curve.public_key().to_bytes(curve.group(), form, &mut context).expect("a point");
        assert_eq!(twins.decrypt(id, &key, &point).await.expect("the secret"), secret);
    }
}

#[tokio::test]
async fn what_does_not_decrypt_says_why() {
    let twins = Twins::new();
    let (qualified, commercial) = (key_of(&twins.qualified), key_of(&twins.commercial));
    let unsupported = |outcome: Result<Vec<u8>, CardError>| {
        assert!(matches!(outcome, Err(CardError::Unsupported { .. })), "{outcome:?}");
    };
    // The key demands the PIN for each use, and SoftHSM does not decrypt in parts.
    unsupported(twins.decrypt(QUALIFIED, &qualified, &[1; 256]).await);
    let outcome = twins.decrypt(COMMERCIAL, &commercial, &[4; 65]).await;
    assert!(outcome.is_err(), "no point of the curve: {outcome:?}");
    assert_eq!(twins.decrypt(COMMERCIAL, &qualified, &[]).await, Err(CardError::KeyMissing { spot: spot(COMMERCIAL) }));
}

#[tokio::test]
async fn tokens_neither_move_nor_announce_keys() {
    let twins = Twins::new();
    let bytes = || obnova_core::job::Bytes(Vec::new());
    let promote = CardStep::Promote { from: spot("01"), to: spot("02"), archive: spot("03"), new: bytes(), old: bytes() };
    for step in [promote, CardStep::Announce {}] {
        assert!(matches!(twins.step(step).await, Err(CardError::Unsupported { .. })));
    }
}

/// Whatever is done, and whatever fails, nothing that was there is destroyed or changed.
#[tokio::test]
async fn nothing_is_ever_destroyed() {
    let twins = Twins::new();
    let module = twins.token.between("");
    let run = async |step| twins.step_through(&module, step).await;
    run(generating("5102", KeyAlgorithm::P256, COMMERCIAL, "new")).await.expect("a key");
    run(generating("5102", KeyAlgorithm::P256, COMMERCIAL, "new")).await.expect_err("occupied");
    let certificate = issued("Anna Nová", "anna@example.org", &twins.token.public_key("5102"), &twins.authority, 365);
    let install = |id: &str| CardStep::Install {
        spot: spot(id),
        certificate: obnova_core::job::Bytes(certificate.to_der().expect("DER")),
        label: "new".to_owned(),
    };
    run(install("5102")).await.expect("installed");
    run(install(COMMERCIAL)).await.expect_err("of another key");
    let calls = twins.token.calls();
    for destroying in ["C_DestroyObject", "C_SetAttributeValue", "C_InitToken"] {
        assert!(!calls.iter().any(|call| call == destroying));
    }
    assert!(calls.iter().any(|call| call == "C_CreateObject"), "the calls are seen");
}
