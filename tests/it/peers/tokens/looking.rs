//! What is told of a token without a PIN.

use std::path::Path;

use obnova_core::card::{CardKind, Presence, SpotState, Tries};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnova_tests::token::issued;
use obnova_tests::{KeyKind, SoftToken, program};
use obnovad::cards::modules;
use obnovad::cards::secrets::Secrets;
use obnovad::cards::step::{CardError, CardStep};
use obnovad::helper::Helper;

use super::{COMMERCIAL, QUALIFIED, Twins, key_of, present, spot};

#[tokio::test]
async fn a_token_tells_its_certificates_and_what_it_can() {
    let twins = Twins::new();
    let card = twins.look().await;
    let id = card.place.token_id().expect("a token");
    assert_eq!((id.token.as_deref(), id.model.as_deref()), (Some("Twins"), Some("SoftHSM v2")));
    assert_eq!((card.label.as_str(), card.model.as_str(), card.reader.as_str()), ("Twins", "SoftHSM v2", ""));
    assert_eq!(Some(&card.serial), id.serial.as_ref());
    assert_eq!((card.kind, card.pin_length, card.pin_pad), (CardKind::Token, (4, 255), false));
    assert_eq!((card.pin, card.puk), (Tries::Unknown, Tries::Unknown), "it does not say");
    assert_eq!(card.algorithms, KeyAlgorithm::MADE);
    let state = |id: &str, certificate: &openssl::x509::X509| SpotState {
        spot: spot(id),
        key: present(&key_of(certificate)),
        certificate: Some(Bytes(certificate.to_der().expect("DER"))),
        always: None,
        touch: false,
    };
    assert_eq!(card.spots, [state(QUALIFIED, &twins.qualified), state(COMMERCIAL, &twins.commercial)]);
}

#[tokio::test]
async fn every_token_that_is_set_up_is_told_of() {
    let twins = Twins::new();
    twins.token.add("Other");
    let cards = twins.helper.tokens(&twins.token.module()).await.expect("cards");
    let mut found: Vec<(&str, usize)> = cards.iter().map(|card| (card.label.as_str(), card.spots.len())).collect();
    found.sort_unstable();
    assert_eq!(found, [("Other", 0), ("Twins", 2)]);
    for card in &cards {
        let again = twins.helper.token(&twins.token.module(), &card.place, &CardStep::Look {}, &Secrets::default()).await;
        assert!(matches!(again, Ok(obnovad::cards::step::CardAnswer::Card { card: again }) if again.as_ref() == card));
    }
}

#[tokio::test]
async fn a_token_must_be_there_and_be_the_only_one() {
    let twins = Twins::new();
    let look = async |place: &str| {
        let place = obnova_core::Place::parse(place).expect("a place");
        twins.helper.token(&twins.token.module(), &place, &CardStep::Look {}, &Secrets::default()).await.err()
    };
    assert_eq!(look("pkcs11:token=Nobody").await, Some(CardError::Absent {}));
    assert_eq!(look("pkcs11:token=Twins;serial=1").await, Some(CardError::Absent {}));
    assert!(matches!(look("piv:1234").await, Some(CardError::Failed { .. })));
    assert_eq!(look("pkcs11:model=SoftHSM%20v2").await, None);
    twins.token.add("Other");
    assert!(matches!(look("pkcs11:model=SoftHSM%20v2").await, Some(CardError::Failed { .. })));
    assert_eq!(look("pkcs11:token=Twins").await, None);
}

#[tokio::test]
async fn keys_without_certificates_and_certificates_without_keys_are_told_as_what_they_are() {
    let twins = Twins::new();
    let alone = twins.token.generate("01", "alone", KeyKind::P384, &[]);
    // A certificate of the authority has no key here, and one that says what its spot contradicts proves nothing.
    twins.token.write("02", "authority", &twins.authority.certificate);
    twins.token.write("01", "strange", &twins.commercial);
    let state = async |id: &str| twins.state(id).await.expect("one state");
    assert_eq!(state("02").await.key, present(&key_of(&twins.authority.certificate)));
    assert_eq!(state("01").await.key, Presence::Unknown);
    assert!(state("01").await.certificate.is_some());
    let other = twins.token.generate("03", "alone", KeyKind::Rsa(2048), &[]);
    assert_eq!((state("03").await.key, state("03").await.certificate), (present(&other), None));
    assert!(!alone.public_eq(&other));
}

#[tokio::test]
async fn of_two_certificates_for_one_key_the_younger_comes_first() {
    let twins = Twins::new();
    for days in [100, 300, 200] {
        let certificate = issued("Anna Nová", "anna@example.org", &key_of(&twins.commercial), &twins.authority, days);
        twins.token.write(COMMERCIAL, "commercial", &certificate);
    }
    let spots = twins.look().await.spots;
    let ends = spots.iter().filter(|state| state.spot == spot(COMMERCIAL)).map(|state| {
        let der = &state.certificate.as_ref().expect("a certificate").0;
        let today = openssl::asn1::Asn1Time::days_from_now(0).expect("a time");
        let parsed = openssl::x509::X509::from_der(der).expect("a certificate");
        today.diff(parsed.not_after()).expect("a span").days
    });
    assert_eq!(ends.collect::<Vec<_>>(), [300, 200, 100, 20]);
}

/// Debian registers SoftHSM with p11-kit, and OpenSC by a relative path.
#[test]
fn registered_modules_are_found() {
    let token = SoftToken::new("Registered");
    let found = modules::all(&[token.module()], Path::new("/"), None);
    assert_eq!(found[0], token.module());
    let named = |name: &str| found.iter().any(|module| module.path.ends_with(name) && module.path.is_file());
    assert!(named("softhsm/libsofthsm2.so"), "{found:?}");
    // Unless it is not installed as a registered module.
    let registration = Path::new("/usr/share/p11-kit/modules/opensc-pkcs11.module");
    assert_eq!(named("pkcs11/opensc-pkcs11.so"), registration.exists(), "{found:?}");
}

#[test]
fn the_configuration_of_a_token_names_its_module() {
    let token = SoftToken::new("Configured");
    let settings = obnovad::config::parse(Path::new("obnova.toml"), &token.configuration()).expect("no mistake");
    assert_eq!(settings.modules, [token.module()]);
}

#[tokio::test]
async fn a_module_gets_its_environment_and_nothing_else_of_ours() {
    let twins = Twins::new();
    let module = twins.token.between("");
    Helper::at(program("obnova-helper")).tokens(&module).await.expect("cards");
    let calls = twins.token.calls();
    let mut variables: Vec<&str> = calls.iter().filter_map(|line| line.strip_prefix("environment ")).collect();
    variables.sort_unstable();
    let expected: Vec<String> = module.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, expected);
    assert!(calls.contains(&"input /dev/null".to_owned()), "it could read or answer our requests: {calls:?}");
}
