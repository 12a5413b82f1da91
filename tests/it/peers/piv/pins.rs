//! PINs, PUKs and management keys: tried once, counted, and forgotten by the card when the step is over.

use obnova_core::card::Tries;

use super::*;

const KINDS: [CardKind; 3] = [CardKind::Moves, CardKind::Generates, CardKind::Strict];

#[tokio::test]
async fn a_wrong_pin_costs_one_try_and_the_puk_helps() {
    for kind in KINDS {
        let mut scene = Scene::new(kind).await;
        let wrong = json!({ "pin": "654321" });
        let verify = CardStep::Verify {};
        for left in [2, 1] {
            let tried = scene.line.step_with(&scene.place, &verify, &wrong).await;
            assert_eq!(tried, Err(CardError::WrongPin { left: Some(left) }), "{kind:?}");
            assert_eq!(scene.look().await.pin, Tries::Left(left));
        }
        let last = scene.line.step_with(&scene.place, &verify, &wrong).await;
        assert_eq!(last, Err(CardError::LastTry {}), "{kind:?}");
        assert_eq!(scene.look().await.pin, Tries::Left(1));
        let agreed = json!({ "pin": "654321", "last-try": true });
        assert_eq!(scene.line.step_with(&scene.place, &verify, &agreed).await, Err(CardError::Blocked {}), "{kind:?}");
        assert_eq!(scene.look().await.pin, Tries::Blocked);
        assert_eq!(scene.step(&verify).await, Err(CardError::Blocked {}));

        let unblock = |puk: &str| json!({ "puk": puk, "new-pin": "222222" });
        let step = CardStep::Unblock {};
        let tried = scene.line.step_with(&scene.place, &step, &unblock("00000000")).await;
        assert_eq!(tried, Err(CardError::WrongPin { left: Some(2) }), "{kind:?}");
        assert_eq!(scene.line.step_with(&scene.place, &step, &unblock("12345678")).await, DONE, "{kind:?}");
        assert_eq!(scene.look().await.pin, Tries::Left(3));

        let change = json!({ "pin": "222222", "new-pin": PIN });
        assert_eq!(scene.line.step_with(&scene.place, &CardStep::ChangePin {}, &change).await, DONE, "{kind:?}");
        assert!(scene.is_closed().await);
        assert_eq!(scene.step(&verify).await, DONE);
        let tried = scene.line.step_with(&scene.place, &CardStep::ChangePin {}, &change).await;
        assert_eq!(tried, Err(CardError::WrongPin { left: Some(2) }), "{kind:?}");
    }
}

#[tokio::test]
async fn nobody_profits_from_a_step() {
    for kind in KINDS {
        let mut scene = Scene::new(kind).await;
        assert!(scene.is_closed().await);
        scene.step(&CardStep::Verify {}).await.expect("verified");
        assert!(scene.is_closed().await, "{kind:?}: after a PIN");
        let key = key_of(scene.old("9a"));
        scene.signs("9a", &key).await.expect("a signature");
        assert!(scene.is_closed().await, "{kind:?}: after a signature");
        // Refused after the PIN.
        let stranger = PKey::public_key_from_der(&spki(&key_of(scene.old("9c"))).0).expect("a key");
        assert_eq!(scene.signs("9a", &stranger).await, Err(CardError::KeyMissing { spot: spot("9a") }));
        assert!(scene.generate("9d", KeyAlgorithm::P256, "9a").await.is_err());
        assert!(scene.is_closed().await, "{kind:?}: after a refusal");
    }
}

#[tokio::test]
async fn a_management_key_is_tried_once() {
    for kind in [CardKind::Moves, CardKind::Generates] {
        let mut scene = Scene::new(kind).await;
        let step =
            CardStep::Generate { spot: spot("82"), algorithm: KeyAlgorithm::P256, like: spot("9d"), label: String::new() };
        let wrong = json!({ "pin": PIN, "management-key": "ff".repeat(24) });
        let refused = scene.line.step_with(&scene.place, &step, &wrong).await;
        assert_eq!(refused, Err(CardError::ManagementKeyWrong {}), "{kind:?}");
        let without = scene.line.step_with(&scene.place, &step, &json!({ "pin": PIN })).await;
        match kind {
            // It says itself that it has the factory's.
            CardKind::Moves => assert!(matches!(without, Ok(CardAnswer::PublicKey { .. })), "{without:?}"),
            _ => assert_eq!(without, Err(CardError::ManagementKeyNeeded {})),
        }
    }
}
