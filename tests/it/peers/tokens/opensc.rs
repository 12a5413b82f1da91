//! Another vendor's module in front of a card: OpenSC shows a PIV card as a token, with a real counter behind the PIN and a key on
//! a curve that demands it for each signature.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use obnova_core::Place;
use obnova_core::card::{Card, Tries};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire};
use obnova_tests::token::issued;
use obnova_tests::{CardKind, CardReader, Recipe, SoftToken, VirtualCard, program};
use obnovad::cards::modules::Module;
use obnovad::cards::secrets::Secrets;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use obnovad::helper::Helper;
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;

use super::{der, generating, pin, present, secret, spot, verifies};

/// The factory's PIN.
const PIN: &str = "123456";
const MESSAGE: &[u8] = b"to be signed";
const SLOTS: [(u8, Algorithm); 3] = [(0x9A, Algorithm::Rsa2048), (0x9C, Algorithm::P256), (0x9D, Algorithm::Rsa2048)];
/// What OpenSC calls these slots.
const SPOTS: [&str; 3] = ["01", "02", "03"];

struct Anna {
    reader: CardReader,
    card: VirtualCard,
    keys: Vec<PKey<Public>>,
    helper: Helper,
    place: Place,
}

impl Anna {
    async fn new() -> Self {
        let reader = CardReader::start().await;
        let state = reader.state("anna");
        let authority = Recipe::new("Authority").authority().make();
        let mut wire = Wire::open(CardKind::Moves, &state).await;
        wire.administer().await;
        let mut keys = Vec::new();
        for (slot, algorithm) in SLOTS {
            let key = wire.generate(slot, algorithm, PinPolicy::Usual).await;
            let certificate = issued("Anna Nová", "anna@example.org", &key, &authority, 20);
            wire.write_certificate(slot, &certificate.to_der().expect("DER")).await;
            keys.push(key);
        }
        wire.close().await;
        let card = reader.insert(CardKind::Moves, &state).await;
        let helper = Helper::at(inside(&reader));
        let [token] = helper.tokens(&module()).await.expect("tokens").try_into().expect("one token");
        Self { reader, card, keys, helper, place: token.place }
    }

    async fn step(&self, step: CardStep, secrets: &Secrets) -> Result<CardAnswer, CardError> {
        self.helper.token(&module(), &self.place, &step, secrets).await
    }

    async fn look(&self) -> Card {
        match self.step(CardStep::Look {}, &Secrets::default()).await.expect("a card") {
            CardAnswer::Card { card } => *card,
            answer => panic!("{answer:?}"),
        }
    }

    /// What Yubico's tool says of the counter.
    async fn tries_left(&self) -> String {
        let status = self.reader.run("yubico-piv-tool", &["-a", "status"]).await.ends(0).out;
        let line = status.lines().find_map(|line| line.strip_prefix("PIN tries left:"));
        line.unwrap_or_else(|| panic!("{status}")).trim().to_owned()
    }
}

fn module() -> Module {
    Module { path: "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so".into(), environment: BTreeMap::new() }
}

/// The helper where the reader is.
fn inside(reader: &CardReader) -> PathBuf {
    let command = reader.command(program("obnova-helper"));
    let words = std::iter::once(command.as_std().get_program()).chain(command.as_std().get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("UTF-8")).collect();
    let script = reader.state("helper");
    std::fs::write(&script, format!("#!/bin/sh\nexec {}\n", words.join(" "))).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("executable");
    script
}

#[tokio::test]
async fn a_card_behind_opensc_signs_and_decrypts_and_is_closed_after_it() {
    let mut anna = Anna::new().await;
    let card = anna.look().await;
    assert!(card.reader.contains("YubiKey Virtual"), "{card:?}");
    assert_eq!(card.pin, Tries::Unknown, "a full counter is not told");
    for (id, key) in SPOTS.into_iter().zip(&anna.keys) {
        let state = card.spots.iter().find(|state| state.spot == spot(id)).unwrap_or_else(|| panic!("{id} in {card:?}"));
        assert_eq!(state.key, present(key));
        assert!(state.certificate.is_some());
    }
    for (id, key) in SPOTS.into_iter().zip(&anna.keys) {
        let verified = anna.card.executed().await.get("20").copied().unwrap_or(0);
        let step = CardStep::Sign { spot: spot(id), public_key: der(key), message: Bytes(MESSAGE.to_vec()) };
        let answer = anna.step(step, &pin(PIN)).await;
        let Ok(CardAnswer::Signature { signature }) = answer else { panic!("{id}: {answer:?}") };
        assert!(verifies(key, MessageDigest::sha256(), MESSAGE, &signature.0), "{id}");
        // 9C is the one that demands the PIN for each signature.
        let again = anna.card.executed().await["20"] - verified;
        assert!(if id == "02" { again >= 2 } else { again >= 1 }, "{id}: {again}");
    }
    let mut encrypter = Encrypter::new(&anna.keys[2]).expect("an encrypter");
    encrypter.set_rsa_padding(Padding::PKCS1).expect("a padding");
    let mut ciphertext = vec![0; 256];
    let length = encrypter.encrypt(MESSAGE, &mut ciphertext).expect("encrypted");
    assert_eq!(length, 256);
    let step = CardStep::Decrypt { spot: spot("03"), public_key: der(&anna.keys[2]), ciphertext: Bytes(ciphertext) };
    assert_eq!(anna.step(step, &pin(PIN)).await, Ok(CardAnswer::Plain { plain: Bytes(MESSAGE.to_vec()) }));
}

/// OpenSC's own logout leaves the card open: SELECT of what is selected already changes nothing (NIST SP 800-73-4 part 2, 3.1.1).
#[tokio::test]
async fn nobody_else_can_use_what_a_pin_has_opened() {
    let anna = Anna::new().await;
    let path = module().path.display().to_string();
    anna.reader.run("pkcs11-tool", &["--module", &path, "--login", "--pin", PIN, "--list-objects"]).await.ends(0);
    assert_eq!(anna.tries_left().await, "-1", "it is open, so that its counter cannot be read");
    for id in SPOTS {
        let key = &anna.keys[SPOTS.iter().position(|spot| *spot == id).expect("a spot")];
        let step = CardStep::Sign { spot: spot(id), public_key: der(key), message: Bytes(MESSAGE.to_vec()) };
        anna.step(step, &pin(PIN)).await.expect("a signature");
        assert_eq!(anna.tries_left().await, "3", "it is closed");
    }
}

/// Whoever has opened the card dies before it can close it.
#[tokio::test]
async fn a_card_that_a_dying_module_has_opened_is_closed() {
    let anna = Anna::new().await;
    let token = SoftToken::new("Other");
    let dying = token.between_and(&module().path, "die C_SignInit");
    let step = CardStep::Sign { spot: spot("01"), public_key: der(&anna.keys[0]), message: Bytes(MESSAGE.to_vec()) };
    let error = anna.helper.token(&dying, &anna.place, &step, &pin(PIN)).await.expect_err("it died");
    assert!(matches!(error, CardError::Module { .. }), "{error:?}");
    assert!(token.calls().contains(&"C_Login".to_owned()), "it was open");
    assert_eq!(anna.tries_left().await, "3", "it is closed");
}

#[tokio::test]
async fn each_wrong_pin_costs_one_try_and_the_last_one_a_word_of_its_own() {
    let anna = Anna::new().await;
    let wrong = || pin("111111");
    assert_eq!(anna.tries_left().await, "3");
    for unfit in ["", "123", "123456789"] {
        let refused = anna.step(CardStep::Verify {}, &pin(unfit)).await;
        assert!(matches!(refused, Err(CardError::PinFormat { max: 8, .. })), "{unfit}: {refused:?}");
    }
    assert_eq!(anna.tries_left().await, "3");
    assert_eq!(anna.step(CardStep::Verify {}, &wrong()).await, Err(CardError::WrongPin { left: None }));
    assert_eq!(anna.tries_left().await, "2");
    assert_eq!(anna.step(CardStep::Verify {}, &wrong()).await, Err(CardError::WrongPin { left: Some(1) }));
    assert_eq!(anna.tries_left().await, "1");
    assert_eq!(anna.look().await.pin, Tries::Left(1));
    assert_eq!(anna.step(CardStep::Verify {}, &wrong()).await, Err(CardError::LastTry {}));
    assert_eq!(anna.step(CardStep::Verify {}, &pin(PIN)).await, Err(CardError::LastTry {}));
    assert_eq!(anna.tries_left().await, "1");
    let agreed = Secrets { last_try: true, ..pin(PIN) };
    assert_eq!(anna.step(CardStep::Verify {}, &agreed).await, Ok(CardAnswer::Done {}));
    assert_eq!(anna.tries_left().await, "3");
    for _ in 0..3 {
        let agreed = Secrets { last_try: true, ..wrong() };
        anna.step(CardStep::Verify {}, &agreed).await.expect_err("wrong");
    }
    assert_eq!(anna.look().await.pin, Tries::Blocked);
    assert_eq!(anna.step(CardStep::Verify {}, &pin(PIN)).await, Err(CardError::Blocked {}));
}

#[tokio::test]
async fn a_pin_is_changed_through_opensc() {
    let anna = Anna::new().await;
    let changing = Secrets { new_pin: Some(secret("654321")), ..pin(PIN) };
    assert_eq!(anna.step(CardStep::ChangePin {}, &changing).await, Ok(CardAnswer::Done {}));
    assert_eq!(anna.step(CardStep::Verify {}, &pin(PIN)).await, Err(CardError::WrongPin { left: None }));
    assert_eq!(anna.step(CardStep::Verify {}, &pin("654321")).await, Ok(CardAnswer::Done {}));
}

#[tokio::test]
async fn what_opensc_cannot_do_at_a_card_changes_nothing() {
    let mut anna = Anna::new().await;
    let before = anna.look().await;
    let answer = anna.step(generating("77", KeyAlgorithm::P256, "01", "new"), &pin(PIN)).await;
    assert!(matches!(answer, Err(CardError::Unsupported { .. } | CardError::Failed { .. })), "{answer:?}");
    assert_eq!(anna.look().await.spots, before.spots);
    assert_eq!(anna.card.executed().await.get("47"), Some(&3), "what the card was made with");
}

#[tokio::test]
async fn a_card_that_is_pulled_is_absent() {
    let mut anna = Anna::new().await;
    anna.card.remove().await;
    assert_eq!(anna.step(CardStep::Look {}, &Secrets::default()).await, Err(CardError::Absent {}));
    assert_eq!(anna.helper.tokens(&module()).await, Ok(Vec::new()));
    anna.card.insert().await;
    assert_eq!(anna.look().await.spots.len(), 3);
}
