//! PINs at tokens: sent once, never against the token's rules, and of no use to anybody afterwards.

use obnova_core::card::Tries;
use obnova_tests::token::{PIN, PUK};
use obnovad::cards::modules::Module;
use obnovad::cards::secrets::Secrets;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};

use super::{Twins, pin, secret};

const COUNT_LOW: u64 = 1 << 16;
const FINAL_TRY: u64 = 1 << 17;
const LOCKED: u64 = 1 << 18;
const SO_FINAL_TRY: u64 = 1 << 21;
const SO_LOCKED: u64 = 1 << 22;
const PAD: u64 = 1 << 8;

async fn ask(twins: &Twins, module: &Module, step: CardStep, secrets: Secrets) -> Result<CardAnswer, CardError> {
    twins.helper.token(module, &twins.place(), &step, &secrets).await
}

fn changing(old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Secrets {
    Secrets { pin: Some(secret(old)), new_pin: Some(secret(new)), ..Secrets::default() }
}

fn unblocking(puk: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Secrets {
    Secrets { puk: Some(secret(puk)), new_pin: Some(secret(new)), ..Secrets::default() }
}

/// How often a function was called since this was last asked.
fn count(calls: &[String], function: &str) -> usize {
    calls.iter().filter(|call| *call == function).count()
}

#[tokio::test]
async fn a_pin_is_sent_once_and_the_token_is_closed_after_it() {
    let twins = Twins::new();
    let module = twins.token.between("");
    for (text, outcome) in [(PIN, Ok(CardAnswer::Done {})), ("271829", Err(CardError::WrongPin { left: None }))] {
        assert_eq!(ask(&twins, &module, CardStep::Verify {}, pin(text)).await, outcome);
        let calls = twins.token.calls();
        assert_eq!(count(&calls, "C_Login"), 1);
        assert_eq!(calls.last().map(String::as_str), Some("C_Finalize"));
        if outcome.is_ok() {
            let after = calls.iter().skip_while(|call| *call != "C_Login");
            assert!(after.into_iter().any(|call| call == "C_Logout"), "{calls:?}");
        }
    }
    assert!(twins.token.opens(PIN));
}

#[tokio::test]
async fn a_pin_that_breaks_the_rules_is_not_sent() {
    let twins = Twins::new();
    let module = twins.token.between("");
    let format = Err(CardError::PinFormat { min: 4, max: 255 });
    let too_long = [b'1'; 256];
    for unfit in [&b""[..], b"123", &too_long, &[0xff; 6]] {
        assert_eq!(ask(&twins, &module, CardStep::Verify {}, changing(unfit, PIN)).await, format);
        assert_eq!(ask(&twins, &module, CardStep::ChangePin {}, changing(PIN, unfit)).await, format);
        assert_eq!(ask(&twins, &module, CardStep::Unblock {}, unblocking(PUK, unfit)).await, format);
    }
    assert_eq!(ask(&twins, &module, CardStep::Unblock {}, unblocking("", "1234")).await, format);
    let needed = Err(CardError::PinNeeded {});
    assert_eq!(ask(&twins, &module, CardStep::Verify {}, Secrets::default()).await, needed);
    assert_eq!(ask(&twins, &module, CardStep::ChangePin {}, pin(PIN)).await, needed);
    assert_eq!(ask(&twins, &module, CardStep::Unblock {}, changing(PIN, "1234")).await, needed, "the PIN is no PUK");
    let calls = twins.token.calls();
    for sending in ["C_Login", "C_SetPIN", "C_InitPIN"] {
        assert_eq!(count(&calls, sending), 0);
    }
    assert!(count(&calls, "C_Finalize") > 0, "the calls are seen");
}

#[tokio::test]
async fn the_flags_of_a_token_tell_the_tries_and_never_a_full_counter() {
    let twins = Twins::new();
    for (flags, pin, puk) in [
        (0, Tries::Unknown, Tries::Unknown),
        (COUNT_LOW, Tries::Unknown, Tries::Unknown),
        (COUNT_LOW | FINAL_TRY, Tries::Left(1), Tries::Unknown),
        (FINAL_TRY | LOCKED, Tries::Blocked, Tries::Unknown),
        (SO_FINAL_TRY, Tries::Unknown, Tries::Left(1)),
        (SO_LOCKED, Tries::Unknown, Tries::Blocked),
    ] {
        let card = twins.look_through(&twins.token.between_with_flags(flags)).await.expect("a card");
        assert_eq!((card.pin, card.puk), (pin, puk), "{flags:x}");
    }
}

#[tokio::test]
async fn the_last_try_is_told_and_made_only_with_a_word_of_its_own() {
    let twins = Twins::new();
    let last = twins.token.between_with_flags(FINAL_TRY | SO_FINAL_TRY);
    let agreed = |secrets| Secrets { last_try: true, ..secrets };
    let (wrong, one_left) = ("271829", Err(CardError::WrongPin { left: Some(1) }));
    for (step, secrets) in [
        (CardStep::Verify {}, pin(wrong)),
        (CardStep::ChangePin {}, changing(wrong, "1234")),
        (CardStep::Unblock {}, unblocking(wrong, "1234")),
    ] {
        assert_eq!(ask(&twins, &last, step.clone(), secrets.clone()).await, Err(CardError::LastTry {}));
        let calls = twins.token.calls();
        assert_eq!(count(&calls, "C_Login") + count(&calls, "C_SetPIN"), 0, "{calls:?}");
        assert_eq!(ask(&twins, &last, step, agreed(secrets)).await, one_left);
        let calls = twins.token.calls();
        assert_eq!(count(&calls, "C_Login") + count(&calls, "C_SetPIN"), 1, "{calls:?}");
    }
}

#[tokio::test]
async fn what_is_blocked_is_not_sent() {
    let twins = Twins::new();
    let blocked = twins.token.between_with_flags(LOCKED | SO_LOCKED);
    for (step, secrets) in [
        (CardStep::Verify {}, pin(PIN)),
        (CardStep::ChangePin {}, changing(PIN, "1234")),
        (CardStep::Unblock {}, unblocking(PUK, "1234")),
    ] {
        let agreed = Secrets { last_try: true, ..secrets };
        assert_eq!(ask(&twins, &blocked, step, agreed).await, Err(CardError::Blocked {}));
    }
    let calls = twins.token.calls();
    assert_eq!(count(&calls, "C_Login") + count(&calls, "C_SetPIN"), 0, "{calls:?}");
    // `CKR_PIN_LOCKED`, from a token that shows no flag.
    let answer = ask(&twins, &twins.token.between("fail-0xa4 C_Login"), CardStep::Verify {}, pin(PIN)).await;
    assert_eq!(answer, Err(CardError::Blocked {}));
}

#[tokio::test]
async fn a_pin_is_changed() {
    let twins = Twins::new();
    let module = twins.token.between("");
    let change = async |old: &str| ask(&twins, &module, CardStep::ChangePin {}, changing(old, "161803")).await;
    assert_eq!(change("271829").await, Err(CardError::WrongPin { left: None }));
    assert_eq!(count(&twins.token.calls(), "C_SetPIN"), 1);
    assert!(twins.token.opens(PIN));
    assert_eq!(change(PIN).await, Ok(CardAnswer::Done {}));
    assert_eq!(count(&twins.token.calls(), "C_SetPIN"), 1);
    assert!(twins.token.opens("161803") && !twins.token.opens(PIN));
}

#[tokio::test]
async fn a_forgotten_pin_is_replaced_with_the_puk() {
    let twins = Twins::new();
    let module = twins.token.between("");
    let unblock = async |puk: &str| ask(&twins, &module, CardStep::Unblock {}, unblocking(puk, "161803")).await;
    assert_eq!(unblock("31415927").await, Err(CardError::WrongPin { left: None }));
    assert_eq!(count(&twins.token.calls(), "C_Login"), 1);
    assert!(twins.token.opens(PIN));
    let before = twins.token.objects();
    assert_eq!(unblock(PUK).await, Ok(CardAnswer::Done {}));
    let calls = twins.token.calls();
    assert_eq!((count(&calls, "C_Login"), count(&calls, "C_Logout")), (1, 1));
    assert!(twins.token.opens("161803") && !twins.token.opens(PIN));
    assert!(!before.is_empty());
}

/// No pad can be had here: that the PIN is left to the reader is seen from the call, which SoftHSM then refuses.
#[tokio::test]
async fn a_pin_that_is_typed_on_the_reader_is_not_asked_for() {
    let twins = Twins::new();
    let module = twins.token.between_with_flags(PAD);
    assert!(twins.look_through(&module).await.expect("a card").pin_pad);
    let _told = twins.token.calls();
    let answer = ask(&twins, &module, CardStep::Verify {}, Secrets::default()).await;
    assert!(matches!(answer, Err(CardError::Failed { .. })), "{answer:?}");
    assert_eq!(count(&twins.token.calls(), "C_Login"), 1);
    let answer = ask(&twins, &module, CardStep::ChangePin {}, Secrets::default()).await;
    assert!(matches!(answer, Err(CardError::Unsupported { .. })), "{answer:?}");
}
