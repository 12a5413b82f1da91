use super::super::object::History;
use super::super::simulated::Fault;
use super::*;

const FOREIGN: u8 = 0x84;

/// The new key of 9C made in 83 and certified; somebody else's key in 84.
fn renewed() -> SimulatedCard {
    twins(Kind::YubiKey)
        .with_key(0x83, P256, ALWAYS, 12)
        .with_certificate(0x83, &certificate(P256, 12, 1))
        .with_key(FOREIGN, P256, ONCE, 40)
}

fn promote() -> CardStep {
    CardStep::Promote {
        from: spot("83"),
        to: spot("9c"),
        archive: spot("82"),
        new: Bytes(certificate(P256, 12, 1)),
        old: Bytes(certificate(P256, 2, 1)),
    }
}

fn history(card: &SimulatedCard) -> u8 {
    let content = card.objects.get([0x5F, 0xC1, 0x0C].as_slice()).expect("a history");
    History::parse(content).expect("a history").keys()
}

fn assert_promoted(card: &mut SimulatedCard) {
    let at = |slot: u8| card.keys.get(&slot).map(|key| (key.seed, key.pin));
    assert_eq!(at(0x9C), Some((12, ALWAYS)));
    assert_eq!(at(0x82), Some((2, ALWAYS)));
    assert_eq!(at(0x83), None);
    assert_eq!(at(FOREIGN), Some((40, ONCE)));
    assert_eq!(history(card), 3, "up to the foreign key in 84");
    let seen = look(card);
    let beside = |name: &str| {
        let state = seen.spots.iter().find(|state| state.spot.0 == name).expect("a spot");
        state.certificate.clone().map(|der| der.0)
    };
    assert_eq!(beside("9c"), Some(certificate(P256, 12, 1)));
    assert_eq!(beside("82"), Some(certificate(P256, 2, 1)));
    assert_eq!(beside("83"), None);
}

#[test]
fn new_in_old_out() {
    let mut card = renewed();
    assert_eq!(run(&mut card, &promote(), &Secrets::default()), Ok(CardAnswer::Done {}));
    assert_promoted(&mut card);
    let (lasting, moves) = (card.lasting(), card.count(0xF6));
    assert_eq!(run(&mut card, &promote(), &Secrets::default()), Ok(CardAnswer::Done {}));
    assert_eq!((card.lasting(), card.count(0xF6)), (lasting, moves), "a second time changes nothing");
}

/// Broken off at every command, in every way: neither key is ever lost, and the next attempt ends it well.
#[test]
fn a_swap_that_breaks_off_anywhere_rolls_forward() {
    let whole = {
        let mut card = renewed();
        run(&mut card, &promote(), &Secrets::default()).expect("promoted");
        card.sent
    };
    let says = |after, status: u16| Fault::Says { after, answer: status.to_be_bytes().to_vec() };
    let mut faults = vec![
        Fault::Pulled { after: false },
        Fault::Pulled { after: true },
        Fault::Broken { after: false },
        Fault::Broken { after: true },
    ];
    for status in [0x6982, 0x6985, 0x6A80, 0x6A82, 0x6A84, 0x6A88, 0x6F00, 0x9000] {
        faults.extend([says(false, status), says(true, status)]);
    }
    for at in 1..=whole {
        for fault in &faults {
            let mut card = renewed();
            card.fault = Some((at, fault.clone()));
            let broken = run(&mut card, &promote(), &Secrets::default());
            let seeds: Vec<u32> = card.keys.values().map(|key| key.seed).collect();
            for seed in [1, 2, 12, 40] {
                assert!(seeds.contains(&seed), "key {seed} is lost at {at} by {fault:?}: {broken:?}");
            }
            assert_eq!(card.keys[&FOREIGN].seed, 40);
            card.reinsert();
            // Done, or that there is nothing: said where it is not so.
            let lied = matches!(fault, Fault::Says { answer, .. } if [[0x90, 0], [0x6A, 0x82], [0x6A, 0x88]].contains(&[answer[0], answer[1]]));
            if broken.is_ok() && !lied {
                assert_promoted(&mut card);
            }
            let again = run(&mut card, &promote(), &Secrets::default());
            assert_eq!(again, Ok(CardAnswer::Done {}), "at {at} by {fault:?}, which gave {broken:?}");
            assert_promoted(&mut card);
        }
    }
}

#[test]
fn nothing_moves_onto_anything() {
    let refused = |mut card: SimulatedCard| {
        let before = card.lasting();
        let error = run(&mut card, &promote(), &Secrets::default()).expect_err("refused");
        assert_eq!((card.lasting(), card.count(0xF6)), (before, 0), "{error}");
        error
    };
    let occupied = |name: &str| CardError::Occupied { spot: spot(name) };
    let missing = |name: &str| CardError::KeyMissing { spot: spot(name) };
    assert_eq!(refused(renewed().with_key(0x82, P256, ONCE, 50)), occupied("82"));
    assert_eq!(refused(renewed().with_certificate(0x82, &certificate(P256, 50, 1))), occupied("82"));
    assert_eq!(refused(renewed().with_key(0x9C, P256, ONCE, 50)), occupied("9c"));
    assert_eq!(refused(renewed().with_certificate(0x9C, &certificate(P256, 50, 1))), occupied("9c"));
    let without = |slot: u8| {
        let mut card = renewed();
        card.keys.remove(&slot);
        card
    };
    assert_eq!(refused(without(0x83)), missing("83"));
    assert_eq!(refused(without(0x9C)), missing("9c"));
    assert_eq!(refused(renewed().with_key(0x83, P256, ONCE, 50)), missing("83"));
    for kind in [Kind::OldYubiKey, Kind::Nitrokey, Kind::Plain] {
        let mut card = renewed();
        card.kind = kind;
        assert!(matches!(refused(card), CardError::Unsupported { .. }));
    }
    let mut card = renewed();
    let CardStep::Promote { from, to, new, old, .. } = promote() else { unreachable!() };
    let nowhere = CardStep::Promote { from, to, archive: spot("9d"), new, old };
    assert!(matches!(run(&mut card, &nowhere, &Secrets::default()), Err(CardError::Unsupported { .. })));
}

#[test]
fn retired_keys_are_announced() {
    let mut card = renewed();
    assert_eq!(run(&mut card, &CardStep::Announce {}, &Secrets::default()), Ok(CardAnswer::Done {}));
    assert_eq!(history(&card), 3);
    let written = card.count(0xDB);
    assert_eq!(run(&mut card, &CardStep::Announce {}, &Secrets::default()), Ok(CardAnswer::Done {}));
    assert_eq!(card.count(0xDB), written);

    let factory = Secrets { management_key: Some(secret(&"0102030405060708".repeat(3))), ..with_pin() };
    let mut nitrokey = twins(Kind::Nitrokey).with_certificate(0x82, &certificate(RSA, 7, 1));
    let foreign = [0xC1, 1, 5, 0xC2, 1, 0, 0xFE, 0];
    nitrokey.objects.insert(vec![0x5F, 0xC1, 0x0C], foreign.to_vec());
    assert_eq!(run(&mut nitrokey, &CardStep::Announce {}, &factory), Ok(CardAnswer::Done {}));
    assert_eq!(history(&nitrokey), 5, "what cannot be seen may be there");
    let mut fresh = twins(Kind::Nitrokey).with_certificate(0x83, &certificate(RSA, 7, 1));
    assert_eq!(run(&mut fresh, &CardStep::Announce {}, &factory), Ok(CardAnswer::Done {}));
    assert_eq!(history(&fresh), 2);
}
