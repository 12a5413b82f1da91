//! Programs of other people take the card for a real one: OpenSC and Yubico's own tool.

use std::path::{Path, PathBuf};

use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire};
use obnova_tests::{CardKind, CardReader, Outcome};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, PKeyRef, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Verifier;
use openssl::x509::{X509, X509NameBuilder};

const OPENSC: &str = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";
const SENTENCE: &[u8] = b"as a witness saw it sign";

/// A certificate for a key in the card, from an authority that nobody needs to know.
fn certificate(name: &str, key: &PKeyRef<Public>) -> Vec<u8> {
    let authority = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let names = |text: &str| {
        let mut builder = X509NameBuilder::new().expect("a name");
        builder.append_entry_by_text("CN", text).expect("a name");
        builder.build()
    };
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("a version");
    let serial = BigNum::from_u32(1).expect("a number").to_asn1_integer().expect("a number");
    builder.set_serial_number(&serial).expect("a serial number");
    builder.set_subject_name(&names(name)).expect("a subject");
    builder.set_issuer_name(&names("An authority")).expect("an issuer");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("a time");
    builder.set_not_after(&Asn1Time::days_from_now(20).expect("a time")).expect("a time");
    builder.set_pubkey(key).expect("a key");
    builder.sign(&authority, MessageDigest::sha256()).expect("signed");
    builder.build().to_der().expect("encoded")
}

/// Anna's card: RSA in 9A, P-256 in 9C, RSA in 9D, and certificates for them.
struct Annas {
    reader: CardReader,
    state: PathBuf,
    keys: [PKey<Public>; 3],
}

const SLOTS: [(u8, Algorithm); 3] = [(0x9A, Algorithm::Rsa2048), (0x9C, Algorithm::P256), (0x9D, Algorithm::Rsa2048)];

impl Annas {
    async fn card(kind: CardKind) -> Self {
        let reader = CardReader::start().await;
        let state = reader.state("anna");
        let mut wire = Wire::open(kind, &state).await;
        wire.administer().await;
        let mut keys = Vec::new();
        for (slot, algorithm) in SLOTS {
            let key = wire.generate(slot, algorithm, PinPolicy::Usual).await;
            wire.write_certificate(slot, &certificate(&format!("Anna {slot:02X}"), &key)).await;
            keys.push(key);
        }
        wire.close().await;
        std::fs::write(state.join("sentence"), SENTENCE).expect("written");
        Self { reader, state, keys: keys.try_into().expect("three") }
    }

    async fn pkcs11(&self, arguments: &[&str]) -> Outcome {
        self.reader.run("pkcs11-tool", &[&["--module", OPENSC], arguments].concat()).await
    }

    /// Signs the sentence, with the PIN where one is given.
    async fn sign(&self, id: &str, mechanism: &str, pin: &[&str]) -> (Outcome, Vec<u8>) {
        let signature = self.state.join("signature");
        drop(std::fs::remove_file(&signature));
        let (input, output) = (self.state.join("sentence"), signature.to_str().expect("UTF-8"));
        let sign = ["--sign", "--id", id, "--mechanism", mechanism, "--signature-format", "openssl"];
        let files = ["--input-file", input.to_str().expect("UTF-8"), "--output-file", output];
        let outcome = self.pkcs11(&[pin, &sign, &files].concat()).await;
        (outcome, std::fs::read(&signature).unwrap_or_default())
    }

    async fn signs(&self, id: &str, mechanism: &str, key: &PKeyRef<Public>) {
        let (outcome, signature) = self.sign(id, mechanism, &PIN).await;
        let outcome = outcome.ends(0);
        let mut verifier = Verifier::new(MessageDigest::sha256(), key).expect("a verifier");
        assert!(verifier.verify_oneshot(&signature, SENTENCE).unwrap_or(false), "{id}: {outcome:?}");
    }

    /// Holds that what was encrypted to the third key opens with the one that OpenSC calls by this id.
    async fn opens(&self, id: &str) {
        let mut encrypted = vec![0; 256];
        let key = self.keys[2].rsa().expect("RSA");
        key.public_encrypt(b"old mail", &mut encrypted, Padding::PKCS1).expect("encrypted");
        let (letter, opened) = (self.state.join("letter"), self.state.join("opened"));
        std::fs::write(&letter, encrypted).expect("written");
        let files = ["--input-file", letter.to_str().expect("UTF-8"), "--output-file", opened.to_str().expect("UTF-8")];
        self.pkcs11(&[&PIN[..], &["--decrypt", "--id", id, "--mechanism", "RSA-PKCS"], &files].concat()).await.ends(0);
        assert_eq!(std::fs::read(opened).expect("opened"), b"old mail");
    }
}

const PIN: [&str; 3] = ["--login", "--pin", "123456"];

#[tokio::test]
async fn opensc_lists_and_signs_with_every_kind() {
    for kind in [CardKind::Moves, CardKind::Generates, CardKind::Strict] {
        let anna = Annas::card(kind).await;
        let _card = anna.reader.insert(kind, &anna.state).await;
        let listed = anna.pkcs11(&[&PIN[..], &["--list-objects"]].concat()).await.ends(0).out;
        for what in ["Private Key Object; RSA", "Private Key Object; EC", "CN=Anna 9A", "CN=Anna 9C", "CN=Anna 9D"] {
            assert!(listed.contains(what), "{kind:?}: no {what} in {listed}");
        }
        anna.signs("01", "SHA256-RSA-PKCS", &anna.keys[0]).await;
        anna.signs("02", "ECDSA-SHA256", &anna.keys[1]).await;
        let (refused, signature) = anna.sign("01", "SHA256-RSA-PKCS", &[]).await;
        assert!(refused.code != 0 && signature.is_empty(), "{kind:?}: it signed without a PIN: {refused:?}");
    }
}

#[tokio::test]
async fn opensc_opens_what_was_encrypted_to_the_card() {
    let anna = Annas::card(CardKind::Moves).await;
    let _card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    anna.opens("03").await;
}

#[tokio::test]
async fn yubicos_tool_sees_a_yubikey_and_makes_keys() {
    let reader = CardReader::start().await;
    let mut card = reader.insert(CardKind::Moves, &reader.state("anna")).await;
    let tool = async |arguments: &[&str]| reader.run("yubico-piv-tool", arguments).await;
    let status = tool(&["-a", "status"]).await.ends(0).out;
    assert!(status.starts_with("Version:\t5.7.4\n") && status.contains("PIN tries left:\t3\n"), "{status}");
    tool(&["-a", "generate", "-s", "9a", "-A", "RSA2048", "-o", "public.pem"]).await.ends(0);
    tool(&["-a", "generate", "-s", "9c", "-A", "ECCP256", "--pin-policy", "always", "-o", "other.pem"]).await.ends(0);
    let public = std::fs::read(reader.state("public.pem")).expect("a key");
    let certificate = X509::from_der(&certificate("Anna", &PKey::public_key_from_pem(&public).expect("a key")));
    let pem = certificate.expect("a certificate").to_pem().expect("a PEM");
    std::fs::write(reader.state("certificate.pem"), pem).expect("written");
    tool(&["-a", "import-certificate", "-s", "9a", "-i", "certificate.pem"]).await.ends(0);
    let signing = ["-a", "verify-pin", "-P", "123456", "-a", "test-signature", "-s", "9a", "-i", "certificate.pem"];
    tool(&signing).await.ends(0);
    let status = tool(&["-a", "status"]).await.ends(0).out;
    assert!(status.contains("Subject DN:\tCN=Anna"), "{status}");
    // Keys from outside, as a person brings them.
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let pem = key.private_key_to_pem_pkcs8().expect("a PEM");
    std::fs::write(reader.state("key.pem"), pem).expect("written");
    tool(&["-a", "import-key", "-s", "9d", "-i", "key.pem"]).await.ends(0);
    let executed = card.executed().await;
    assert_eq!((executed["47"], executed["FE"], executed["sign"]), (2, 1, 1), "{executed:?}");
}

#[tokio::test]
async fn yubicos_tool_counts_wrong_pins_until_the_card_is_blocked() {
    for kind in [CardKind::Moves, CardKind::Generates] {
        let reader = CardReader::start().await;
        let _card = reader.insert(kind, &reader.state("anna")).await;
        let verify = async |pin: &str| reader.run("yubico-piv-tool", &["-a", "verify-pin", "-P", pin]).await;
        verify("123456").await.ends(0);
        for left in ["2 tries left", "1 tries left"] {
            let wrong = verify("000000").await;
            assert!(wrong.code != 0 && wrong.err.contains(left), "{wrong:?}");
        }
        let blocked = verify("000000").await;
        assert!(blocked.code != 0 && blocked.err.contains("blocked"), "{blocked:?}");
        let blocked = verify("123456").await;
        assert!(blocked.code != 0 && blocked.err.contains("blocked"), "{blocked:?}");
        let unblock = ["-a", "unblock-pin", "-P", "12345678", "-N", "654321"];
        reader.run("yubico-piv-tool", &unblock).await.ends(0);
        verify("654321").await.ends(0);
    }
}

#[tokio::test]
async fn yubicos_module_signs_with_the_card() {
    let anna = Annas::card(CardKind::Moves).await;
    let _card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    let module = "/usr/lib/x86_64-linux-gnu/libykcs11.so";
    let (input, output) = (anna.state.join("sentence"), anna.state.join("signature"));
    let files = ["--input-file", input.to_str().expect("UTF-8"), "--output-file", output.to_str().expect("UTF-8")];
    let sign = ["--module", module, "--sign", "--id", "01", "--mechanism", "SHA256-RSA-PKCS"];
    anna.reader.run("pkcs11-tool", &[&sign[..], &PIN, &files].concat()).await.ends(0);
    let mut verifier = Verifier::new(MessageDigest::sha256(), &anna.keys[0]).expect("a verifier");
    let signature = std::fs::read(output).expect("a signature");
    assert!(verifier.verify_oneshot(&signature, SENTENCE).expect("verified"));
    let listed = anna.reader.run("pkcs11-tool", &["--module", module, "--list-slots"]).await.ends(0).out;
    assert!(listed.contains("YubiKey PIV #"), "{listed}");
}

#[tokio::test]
async fn a_verified_pin_outlives_a_process_but_no_reset() {
    let anna = Annas::card(CardKind::Moves).await;
    let _card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    let select = ["--card-driver", "default", "--send-apdu", "00:A4:04:00:05:A0:00:00:03:08:00"];
    let raw = async |more: &[&str]| anna.reader.run("opensc-tool", &[&select, more].concat()).await.ends(0).out;
    let asked = raw(&["--send-apdu", "00:20:00:80"]).await;
    assert!(asked.contains("SW1=0x63, SW2=0xC3"), "{asked}");
    raw(&["--send-apdu", "00:20:00:80:08:31:32:33:34:35:36:FF:FF"]).await;
    let asked = raw(&["--send-apdu", "00:20:00:80"]).await;
    assert!(asked.contains("SW1=0x90, SW2=0x00"), "the next process may sign: {asked}");
    anna.reader.run("opensc-tool", &["--reset"]).await.ends(0);
    let asked = raw(&["--send-apdu", "00:20:00:80"]).await;
    assert!(asked.contains("SW1=0x63, SW2=0xC3"), "{asked}");
}

#[tokio::test]
async fn keys_that_opensc_moves_keep_their_policies_and_open_old_mail_where_they_are_now() {
    let anna = Annas::card(CardKind::Moves).await;
    let card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    std::fs::write(anna.state.join("management"), ["01:02:03:04:05:06:07:08"; 3].join(":")).expect("written");
    let key = anna.state.join("management");
    let with_key = [("PIV_EXT_AUTH_KEY", key.to_str().expect("UTF-8"))];
    let raw = async |apdu: &str| anna.reader.run("opensc-tool", &["--send-apdu", apdu]).await.ends(0).out;
    let move_key = async |apdu: &str| {
        let moved = anna.reader.run_with("piv-tool", &["--admin", "M:9B:03", "--send-apdu", apdu], &with_key).await.ends(0);
        assert!(moved.out.contains("SW1=0x90, SW2=0x00"), "{apdu}: {moved:?}");
    };
    move_key("00:F6:82:9D").await;
    move_key("00:F6:83:9C").await;
    assert!(raw("00:F7:00:9C:00").await.contains("SW1=0x6A, SW2=0x88"));
    for (slot, described) in [("82", "01 01 07 02 02 02 01 03 01 01"), ("83", "01 01 11 02 02 03 01 03 01 01")] {
        let metadata = raw(&format!("00:F7:00:{slot}:00")).await;
        assert!(metadata.contains(described), "{slot}: {metadata}");
    }
    move_key("00:F6:9C:83").await;
    card.kill().await;

    // The certificate goes along, and Key History tells OpenSC that the slot is in use.
    let mut wire = Wire::open(CardKind::Moves, &anna.state).await;
    wire.administer().await;
    wire.write_certificate(0x82, &certificate("Anna, moved", &anna.keys[2])).await;
    assert_eq!(wire.write(0x5F_C10B, &[]).await, 0x9000);
    assert_eq!(wire.write(0x5F_C10C, b"\xC1\x01\x01\xC2\x01\x00\xFE\x00").await, 0x9000);
    wire.close().await;
    let _card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    let listed = anna.pkcs11(&["--list-objects", "--type", "cert"]).await.ends(0).out;
    assert!(listed.contains("Anna, moved") && !listed.contains("Anna 9D"), "{listed}");
    anna.opens("05").await;
    anna.signs("02", "ECDSA-SHA256", &anna.keys[1]).await;
}

#[tokio::test]
async fn a_transcript_takes_the_place_of_the_card_that_it_was_written_at() {
    let anna = Annas::card(CardKind::Moves).await;
    let mut card = anna.reader.insert(CardKind::Moves, &anna.state).await;
    let transcript = anna.reader.state("transcript");
    let wrong = ["-a", "verify-pin", "-P", "000000"];
    let tool = async |arguments: &[&str]| anna.reader.run("yubico-piv-tool", arguments).await;
    card.record(&transcript).await;
    let (status, refused) = (tool(&["-a", "status"]).await.ends(0), tool(&wrong).await);
    card.kill().await;

    let mut replay = anna.reader.replay(&transcript, &anna.reader.state("replay")).await;
    assert_eq!(tool(&["-a", "status"]).await.ends(0).out, status.out);
    let again = tool(&wrong).await;
    assert_eq!((again.code, again.err), (refused.code, refused.err));
    let replayed = replay.replayed().await;
    assert!(replayed.done == replayed.of && replayed.of > 20 && replayed.strange.is_none(), "{replayed:?}");
    // What was not asked then is not answered now.
    assert_ne!(tool(&["-a", "version"]).await.code, 0);
    assert!(replay.replayed().await.strange.is_some());
}

#[tokio::test]
async fn keys_outlive_every_insertion() {
    let anna = Annas::card(CardKind::Generates).await;
    for _ in 0..2 {
        let card = anna.reader.insert(CardKind::Generates, &anna.state).await;
        anna.signs("01", "SHA256-RSA-PKCS", &anna.keys[0]).await;
        card.kill().await;
    }
    assert!(Path::new(&anna.state).join("external").is_file());
}
