use super::*;

fn verified(card: &mut SimulatedCard, pin: &str) -> Result<CardAnswer, CardError> {
    run(card, &CardStep::Verify {}, &Secrets { pin: Some(secret(pin)), ..Secrets::default() })
}

/// How many commands carried a secret.
fn sent(card: &SimulatedCard) -> usize {
    card.log.iter().filter(|(instruction, _, _, length)| matches!(instruction, 0x20 | 0x24 | 0x2C) && *length > 0).count()
}

#[test]
fn a_right_pin_leaves_the_card_closed() {
    let mut card = twins(Kind::YubiKey);
    assert_eq!(verified(&mut card, "123456"), Ok(CardAnswer::Done {}));
    assert!(!card.is_open() && card.resets == 1);
}

#[test]
fn a_wrong_pin_costs_one_try_and_the_last_needs_a_yes() {
    let mut card = twins(Kind::Nitrokey);
    assert_eq!(verified(&mut card, "654321"), Err(CardError::WrongPin { left: Some(2) }));
    assert_eq!(verified(&mut card, "654321"), Err(CardError::WrongPin { left: Some(1) }));
    assert_eq!((sent(&card), card.pin_left), (2, 1));
    assert_eq!(verified(&mut card, "654321"), Err(CardError::LastTry {}));
    assert_eq!((sent(&card), card.pin_left), (2, 1), "nothing was sent");
    let agreed = Secrets { pin: Some(secret("654321")), last_try: true, ..Secrets::default() };
    assert_eq!(run(&mut card, &CardStep::Verify {}, &agreed), Err(CardError::Blocked {}));
    assert_eq!((sent(&card), card.pin_left), (3, 0));
    assert_eq!(verified(&mut card, "123456"), Err(CardError::Blocked {}));
    assert_eq!(sent(&card), 3, "a blocked card is not tried");
}

#[test]
fn a_pin_without_its_form_is_not_sent() {
    let mut card = twins(Kind::Plain);
    for wrong in ["", "12345", "123456789", "12345a", "123 56", "12345\u{e9}"] {
        assert_eq!(verified(&mut card, wrong), Err(CardError::PinFormat { min: 6, max: 8 }), "{wrong}");
    }
    assert_eq!(run(&mut card, &CardStep::Verify {}, &Secrets::default()), Err(CardError::PinNeeded {}));
    assert_eq!((card.count(0x20), card.pin_left), (0, 3));
    let mut yubikey = twins(Kind::YubiKey);
    yubikey.pin = *b"Ab!456\xFF\xFF";
    assert_eq!(verified(&mut yubikey, "Ab!456"), Ok(CardAnswer::Done {}), "YubiKeys take letters");
}

#[test]
fn what_another_has_opened_is_closed_first() {
    let mut card = twins(Kind::Nitrokey);
    card.open_elsewhere();
    card.pin_left = 1;
    assert_eq!(verified(&mut card, "654321"), Err(CardError::LastTry {}), "the counter is read, not assumed");
    assert_eq!((card.resets, sent(&card)), (1, 0));
}

#[test]
fn the_pad_asks_where_nobody_typed() {
    let mut card = twins(Kind::YubiKey);
    card.pad = Some(*b"123456\xFF\xFF");
    assert!(look(&mut card).pin_pad);
    assert_eq!(run(&mut card, &CardStep::Verify {}, &Secrets::default()), Ok(CardAnswer::Done {}));
    card.pad = Some(*b"654321\xFF\xFF");
    assert_eq!(run(&mut card, &CardStep::Verify {}, &Secrets::default()), Err(CardError::WrongPin { left: Some(2) }));
    assert!(!card.is_open());
}

#[test]
fn pins_are_changed_and_unblocked() {
    let mut card = twins(Kind::Nitrokey);
    let change = |pin: &str, new: &str| Secrets { pin: Some(secret(pin)), new_pin: Some(secret(new)), ..Secrets::default() };
    assert_eq!(
        run(&mut card, &CardStep::ChangePin {}, &change("111111", "222222")),
        Err(CardError::WrongPin { left: Some(2) })
    );
    assert_eq!(
        run(&mut card, &CardStep::ChangePin {}, &change("123456", "22222")),
        Err(CardError::PinFormat { min: 6, max: 8 })
    );
    assert_eq!(run(&mut card, &CardStep::ChangePin {}, &change("123456", "222222")), Ok(CardAnswer::Done {}));
    assert!(!card.is_open());
    assert_eq!(verified(&mut card, "222222"), Ok(CardAnswer::Done {}));

    card.pin_left = 0;
    let unblock = |puk: &str| Secrets { puk: Some(secret(puk)), new_pin: Some(secret("333333")), ..Secrets::default() };
    assert_eq!(run(&mut card, &CardStep::Unblock {}, &unblock("87654321")), Err(CardError::WrongPin { left: Some(2) }));
    assert_eq!(run(&mut card, &CardStep::Unblock {}, &unblock("12345678")), Ok(CardAnswer::Done {}));
    assert_eq!(verified(&mut card, "333333"), Ok(CardAnswer::Done {}));

    let mut yubikey = twins(Kind::YubiKey);
    yubikey.puk_left = 1;
    assert_eq!(run(&mut yubikey, &CardStep::Unblock {}, &unblock("87654321")), Err(CardError::LastTry {}));
    yubikey.puk_left = 0;
    assert_eq!(run(&mut yubikey, &CardStep::Unblock {}, &unblock("12345678")), Err(CardError::Blocked {}));
    assert_eq!(sent(&yubikey), 0);
}

#[test]
fn management_keys_are_found_and_tried_once() {
    let management = |text: &str| Secrets { management_key: Some(secret(text)), ..with_pin() };
    let hex = "a1".repeat(24);
    for (algorithm, length) in [(0x03, 24), (0x08, 16), (0x0A, 24), (0x0C, 32)] {
        for kind in [Kind::YubiKey, Kind::Nitrokey] {
            let mut card = twins(kind);
            card.management = (algorithm, vec![0xA1; length]);
            let wanted = run(&mut card, &generate("82", "9a"), &with_pin());
            assert_eq!(wanted, Err(CardError::ManagementKeyNeeded {}), "{kind:?} {algorithm:02x}");
            let given = run(&mut card, &generate("82", "9a"), &management(&"a1".repeat(length)));
            assert!(matches!(given, Ok(CardAnswer::PublicKey { .. })), "{kind:?} {algorithm:02x} {given:?}");
        }
    }
    let mut card = twins(Kind::YubiKey);
    let before = card.lasting();
    assert_eq!(run(&mut card, &generate("82", "9a"), &management(&hex)), Err(CardError::ManagementKeyWrong {}));
    let proofs = card.log.iter().filter(|(instruction, _, slot, _)| (*instruction, *slot) == (0x87, 0x9B)).count();
    assert_eq!((proofs, card.lasting()), (2, before), "a witness and one proof, and nothing else is tried");
}

#[test]
fn a_management_key_behind_the_pin_is_used() {
    let mut card = twins(Kind::YubiKey);
    card.management = (0x0A, vec![0x77; 24]);
    card.objects.insert(vec![0x5F, 0xFF, 0], object(0x80, &object(0x81, &[2])).to_vec());
    card.objects.insert(vec![0x5F, 0xC1, 0x09], object(0x88, &object(0x89, &[0x77; 24])).to_vec());
    assert_eq!(run(&mut card, &generate("82", "9a"), &Secrets::default()), Err(CardError::PinNeeded {}));
    assert!(matches!(run(&mut card, &generate("82", "9a"), &with_pin()), Ok(CardAnswer::PublicKey { .. })));
    assert!(!card.is_open());
}
