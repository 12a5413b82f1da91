//! Modules that hang, crash or answer nonsense: told, bounded, and survived by whoever asked. And the death of a helper in the
//! middle of its work, after which the token itself says what has happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use obnova_core::card::Presence;
use obnova_core::certificate::KeyAlgorithm;
use obnova_tests::program;
use obnovad::cards::modules::Module;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use obnovad::helper::Helper;

use super::{COMMERCIAL, Twins, generating, spot};

/// Enough for any answer here, and short enough to wait for what never comes.
const DEADLINE: Duration = Duration::from_secs(5);

fn blames(error: &CardError, module: &Module) -> bool {
    matches!(error, CardError::Module { module: blamed, .. } if *blamed == module.path.display().to_string())
}

/// The step in the middle of which something happens.
fn step() -> CardStep {
    generating("5102", KeyAlgorithm::P256, COMMERCIAL, "new")
}

#[tokio::test]
async fn a_module_that_hangs_is_ended_and_told() {
    let twins = Twins::new();
    let helper = Helper::at(program("obnova-helper")).with_deadline(Duration::from_secs(1));
    for at in ["C_Initialize", "C_GetSlotList", "C_FindObjects", "C_Finalize"] {
        let module = twins.token.between(&format!("hang {at}"));
        let begun = Instant::now();
        let error = helper.tokens(&module).await.expect_err("no answer");
        assert!(blames(&error, &module), "{error:?}");
        assert!(begun.elapsed() < DEADLINE);
        assert_eq!(twins.token.calls().last().map(String::as_str), Some(at), "it was reached");
    }
    assert_eq!(twins.look().await.spots.len(), 2, "and the next one is asked as ever");
}

#[tokio::test]
async fn a_module_that_ends_its_process_is_told() {
    let twins = Twins::new();
    for does in
        ["crash C_GetSlotList", "crash C_GetAttributeValue", "exit C_GetTokenInfo", "die C_OpenSession", "crash C_Finalize"]
    {
        let module = twins.token.between(does);
        let error = twins.helper.tokens(&module).await.expect_err("no answer");
        assert!(blames(&error, &module), "{does}: {error:?}");
    }
    assert_eq!(twins.look().await.spots.len(), 2);
}

#[tokio::test]
async fn a_module_that_exaggerates_is_bounded() {
    let twins = Twins::new();
    // From what no machine has, over what one might just have, to what is merely wrong.
    for count in ["0xffffffffffffffff", "0x1fffffffffffffff", "0x8000000000", "0x8000000", "0x100000"] {
        for at in ["C_GetSlotList", "C_GetMechanismList", "C_GetAttributeValue", "C_FindObjects"] {
            let module = twins.token.between(&format!("many-{count} {at}"));
            let begun = Instant::now();
            if let Ok(card) = twins.look_through(&module).await {
                assert!(card.spots.len() < 1000, "{at}: {count}");
            }
            assert!(begun.elapsed() < DEADLINE, "{at}: {count}");
        }
    }
    let endless = twins.look_through(&twins.token.between("many-1 C_FindObjects")).await.expect_err("objects without end");
    assert!(matches!(endless, CardError::Failed { .. }), "{endless:?}");
    assert_eq!(twins.look().await.spots.len(), 2);
}

#[tokio::test]
async fn garbage_is_told_as_what_it_is_or_refused() {
    let twins = Twins::new();
    let module = twins.token.between("garble C_GetTokenInfo");
    for card in twins.helper.tokens(&module).await.unwrap_or_default() {
        assert!(card.place.token_id().is_some(), "a place that can be read again: {card:?}");
    }
    let error = twins.look_through(&module).await.expect_err("another token");
    assert!(matches!(error, CardError::Absent {} | CardError::Failed { .. }), "{error:?}");

    let card =
        twins.look_through(&twins.token.between("garble C_GetAttributeValue")).await.expect("a card of nothing sensible");
    assert!(card.spots.iter().all(|state| state.key == Presence::Unknown && state.certificate.is_none()), "{card:?}");

    let module = twins.token.between("garble C_FindObjects");
    let error = twins.look_through(&module).await.expect_err("more objects than there was room for");
    assert!(blames(&error, &module), "{error:?}");
    assert_eq!(twins.look().await.spots.len(), 2);
}

#[tokio::test]
async fn what_is_no_module_is_told() {
    let twins = Twins::new();
    let libm = "/usr/lib/x86_64-linux-gnu/libm.so.6";
    for path in ["/nonexistent/module.so", "/etc/passwd", "/", libm] {
        let module = Module { path: path.into(), environment: BTreeMap::new() };
        let error = twins.helper.tokens(&module).await.expect_err("no module");
        assert!(blames(&error, &module), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn errors_of_a_card_are_told_apart() {
    let twins = Twins::new();
    let error = async |does: &str| twins.step_through(&twins.token.between(does), step()).await.expect_err("it failed");
    // CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_DEVICE_MEMORY, CKR_TOKEN_WRITE_PROTECTED, CKR_FUNCTION_CANCELED,
    // CKR_GENERAL_ERROR.
    assert_eq!(error("fail-0x32 C_GenerateKeyPair").await, CardError::Removed {});
    assert_eq!(error("fail-0xe0 C_OpenSession").await, CardError::Removed {});
    assert_eq!(error("fail-0x31 C_GenerateKeyPair").await, CardError::Full {});
    assert!(matches!(error("fail-0xe2 C_OpenSession").await, CardError::Unsupported { .. }));
    assert_eq!(error("fail-0x50 C_Login").await, CardError::PinNeeded {});
    assert!(matches!(error("fail-0x5 C_GenerateKeyPair").await, CardError::Failed { .. }));
    // CKR_USER_NOT_LOGGED_IN, in spite of the PIN: that must not be asked for without end.
    assert!(matches!(error("fail-0x101 C_GenerateKeyPair").await, CardError::Failed { .. }));
    assert_eq!(error("fail-0xe0 C_GetTokenInfo").await, CardError::Absent {}, "gone before it was looked at");
    assert!(twins.state("5102").await.is_none(), "nothing was made");
}

/// The module dies when the pair is made and before anybody hears of it: the token tells.
#[tokio::test]
async fn a_key_whose_maker_died_is_found_by_looking() {
    let twins = Twins::new();
    let before = twins.token.objects();
    let module = twins.token.between("die C_GenerateKeyPair");
    let error = twins.step_through(&module, step()).await.expect_err("nobody answered");
    assert!(blames(&error, &module), "{error:?}");

    let state = twins.state("5102").await.expect("one state");
    let Presence::Key(told) = &state.key else { panic!("{state:?}") };
    assert_eq!(told.0, twins.token.public_key("5102").public_key_to_der().expect("DER"));
    assert_eq!(state.certificate, None);
    assert_eq!(twins.step(step()).await, Err(CardError::Occupied { spot: spot("5102") }), "no second key comes into being");
    assert_eq!(twins.token.objects().len(), before.len() + 2);

    // And it is as good as any other.
    let key = twins.token.public_key("5102");
    twins.sign("5102", &key, b"message").await.expect("a signature");
}

#[tokio::test]
async fn a_certificate_whose_writer_died_is_there_or_not_and_can_be_written_again() {
    let twins = Twins::new();
    let key = twins.generate("5102", KeyAlgorithm::P256, COMMERCIAL, "new").await.expect("a key");
    let certificate = obnova_tests::token::issued("Anna Nová", "anna@example.org", &key, &twins.authority, 365);
    let install = || CardStep::Install {
        spot: spot("5102"),
        certificate: obnova_core::job::Bytes(certificate.to_der().expect("DER")),
        label: "new".to_owned(),
    };
    for does in ["die C_FindObjectsInit", "die C_CreateObject"] {
        twins.step_through(&twins.token.between(does), install()).await.expect_err("nobody answered");
    }
    assert_eq!(twins.step(install()).await, Ok(CardAnswer::Done {}));
    assert_eq!(twins.token.listing().matches("Certificate Object").count(), 3, "once");
    assert_eq!(twins.token.certificate("5102"), certificate.to_der().expect("DER"));
}
