use super::super::simulated::Fault;
use super::*;

#[test]
fn a_key_is_made_with_the_policies_of_another() {
    let mut card = twins(Kind::YubiKey);
    card.keys.get_mut(&0x9C).expect("9c").touch = 3;
    let answer = run(&mut card, &generate("82", "9c"), &Secrets::default()).expect("made");
    let made = card.keys[&0x82].clone();
    assert_eq!((made.algorithm, made.pin, made.touch), (P256, ALWAYS, 3));
    assert_eq!(answer, CardAnswer::PublicKey { public_key: public_key(P256, made.seed) });
    assert_eq!(card.count(0x20), 0, "no PIN is needed where emptiness is told and the management key is the factory's");
}

#[test]
fn no_key_is_made_over_a_key() {
    for kind in [Kind::YubiKey, Kind::OldYubiKey, Kind::Nitrokey] {
        let mut card = twins(kind).with_key(0x82, P256, ONCE, 9);
        let occupied = |at: &str| Err(CardError::Occupied { spot: spot(at) });
        let factory = Secrets { management_key: Some(secret(&"0102030405060708".repeat(3))), ..with_pin() };
        let before = card.lasting();
        for at in ["9a", "9c", "82"] {
            assert_eq!(run(&mut card, &generate(at, "9a"), &factory), occupied(at), "{kind:?} {at}");
        }
        assert_eq!((card.count(0x47), card.lasting()), (0, before), "{kind:?}");
        assert!(matches!(run(&mut card, &generate("83", "9a"), &factory), Ok(CardAnswer::PublicKey { .. })), "{kind:?}");
    }
}

#[test]
fn what_does_not_tell_is_not_free() {
    let factory = Secrets { management_key: Some(secret(&"0102030405060708".repeat(3))), ..with_pin() };
    let mut nitrokey = twins(Kind::Nitrokey);
    let without_pin = Secrets { pin: None, ..factory.clone() };
    assert_eq!(run(&mut nitrokey, &generate("82", "9a"), &without_pin), Err(CardError::PinNeeded {}));
    // A plain card says 6985 of many things.
    let mut plain = twins(Kind::Plain);
    assert_eq!(run(&mut plain, &generate("9d", "9a"), &factory), Err(CardError::Occupied { spot: spot("9d") }));
    assert!(matches!(run(&mut plain, &generate("82", "9a"), &factory), Err(CardError::Unsupported { .. })));
    // A certificate without a key belongs to somebody.
    let mut yubikey = twins(Kind::YubiKey).with_certificate(0x84, &certificate(RSA, 7, 1));
    assert_eq!(run(&mut yubikey, &generate("84", "9a"), &factory), Err(CardError::Occupied { spot: spot("84") }));
    assert_eq!(nitrokey.count(0x47) + plain.count(0x47) + yubikey.count(0x47), 0);
}

/// The simulated card panics when a key is made over a key: whatever one command answers, short of saying in so many words that
/// there is no key, none is.
#[test]
fn no_single_lie_gets_a_key_made_over_a_key() {
    let lies: [&[u8]; 8] =
        [&[0x90, 0], &[0x6A, 0x82], &[0x6A, 0x80], &[0x69, 0x82], &[0x6D, 0], &[0x63, 0xC3], &[], &[0x53, 0, 0x90, 0]];
    let factory = Secrets { management_key: Some(secret(&"0102030405060708".repeat(3))), ..with_pin() };
    for kind in [Kind::YubiKey, Kind::OldYubiKey, Kind::Nitrokey, Kind::Plain] {
        for lie in lies {
            for at in 1..40 {
                let mut card = twins(kind).with_key(0x82, P256, ONCE, 9);
                card.fault = Some((at, Fault::Says { after: false, answer: lie.to_vec() }));
                run(&mut card, &generate("82", "9a"), &factory).expect_err("the slot is occupied");
            }
        }
    }
}

#[test]
fn a_certificate_is_written_beside_its_key_alone() {
    let der = certificate(P256, 9, 1);
    let install =
        |at: &str, der: &[u8]| CardStep::Install { spot: spot(at), certificate: Bytes(der.to_vec()), label: "x".into() };
    let mut card = twins(Kind::YubiKey).with_key(0x82, P256, ONCE, 9);
    assert_eq!(run(&mut card, &install("82", &der), &Secrets::default()), Ok(CardAnswer::Done {}));
    let written = card.count(0xDB);
    assert_eq!(run(&mut card, &install("82", &der), &Secrets::default()), Ok(CardAnswer::Done {}));
    assert_eq!(card.count(0xDB), written, "what is there is not written again");
    let again = certificate(P256, 9, 2);
    assert_eq!(run(&mut card, &install("82", &again), &Secrets::default()), Ok(CardAnswer::Done {}));
    let before = card.lasting();
    for at in ["9a", "83"] {
        let missing = Err(CardError::KeyMissing { spot: spot(at) });
        assert_eq!(run(&mut card, &install(at, &der), &Secrets::default()), missing);
    }
    let mut stale = twins(Kind::YubiKey).with_key(0x82, P256, ONCE, 9).with_certificate(0x82, &certificate(RSA, 7, 1));
    assert_eq!(run(&mut stale, &install("82", &der), &Secrets::default()), Err(CardError::Occupied { spot: spot("82") }));
    let large = [certificate(P256, 9, 1), vec![0; 4000]].concat();
    assert!(run(&mut card, &install("82", &large), &Secrets::default()).is_err(), "no certificate");
    assert_eq!(card.lasting(), before);
}
