//! Where a new key may go, card by card.

use proptest::prelude::*;

use super::*;

fn key(of: u8) -> Presence {
    Presence::Key(Bytes(vec![of]))
}

/// A card with a key and certificate in each of the spots `taken`, and `rest` in every other.
fn card(kind: CardKind, taken: &[&str], rest: &Presence) -> Card {
    let all: Vec<Spot> =
        ["9a", "9c", "9d", "9e"].map(|slot| Spot(slot.into())).into_iter().chain(RETIRED.map(Spot::of_slot)).collect();
    let spots = all.into_iter().enumerate().map(|(at, spot)| {
        let taken = taken.contains(&spot.0.as_str());
        let number = u8::try_from(at).expect("few");
        SpotState {
            spot,
            key: if taken { key(number) } else { rest.clone() },
            certificate: taken.then(|| Bytes(vec![number])),
            always: None,
            touch: false,
        }
    });
    Card {
        place: Place::parse("piv:1").expect("a place"),
        kind,
        label: "card".into(),
        model: String::new(),
        serial: String::new(),
        reader: String::new(),
        pin: Tries::Left(3),
        puk: Tries::Left(3),
        pin_length: (6, 8),
        pin_pad: false,
        algorithms: vec![KeyAlgorithm::Rsa(2048), KeyAlgorithm::P256],
        spots: spots.collect(),
    }
}

fn old(spots: &[&str]) -> Vec<(Spot, KeyAlgorithm)> {
    spots.iter().map(|spot| (Spot((*spot).into()), KeyAlgorithm::P256)).collect()
}

fn reserve(card: &Card, spots: &[&str]) -> Result<Vec<(String, Option<String>)>, NoRoom> {
    let mut made = 0;
    let fresh = || {
        made += 1;
        Spot(format!("fresh-{made}"))
    };
    let reserved = card.reserve(&old(spots), fresh)?;
    Ok(reserved.into_iter().map(|one| (one.spot.0, one.archive.map(|spot| spot.0))).collect())
}

fn pair(spot: &str, archive: Option<&str>) -> (String, Option<String>) {
    (spot.into(), archive.map(Into::into))
}

#[test]
fn a_pair_on_a_card_that_moves_needs_three_free_slots() {
    let roomy = card(CardKind::Moves, &["9a", "9c", "82"], &Presence::Free);
    assert_eq!(reserve(&roomy, &["9a", "9c"]), Ok(vec![pair("83", Some("85")), pair("84", Some("83"))]));
    assert_eq!(reserve(&roomy, &["9c"]), Ok(vec![pair("83", Some("84"))]));

    let mut full = roomy;
    for state in &mut full.spots {
        if state.spot.is_retired() && !["90", "91"].contains(&state.spot.0.as_str()) {
            state.key = key(0xff);
        }
    }
    assert_eq!(reserve(&full, &["9a", "9c"]), Err(NoRoom::Full { needed: 3, free: 2 }));
    assert_eq!(reserve(&full, &["9a"]), Ok(vec![pair("90", Some("91"))]));
}

#[test]
fn what_a_card_does_not_say_is_not_free() {
    for rest in [Presence::Unknown, Presence::Unproven] {
        let moves = card(CardKind::Moves, &["9a"], &rest);
        assert_eq!(reserve(&moves, &["9a"]), Err(NoRoom::Full { needed: 2, free: 0 }), "{rest:?}");
    }
    let mut odd = card(CardKind::Moves, &["9a"], &Presence::Free);
    for state in &mut odd.spots {
        state.certificate.get_or_insert(Bytes(vec![7]));
    }
    assert_eq!(reserve(&odd, &["9a"]), Err(NoRoom::Full { needed: 2, free: 0 }), "a certificate lies there");
}

#[test]
fn a_card_that_moves_nothing_makes_keys_only_for_decryption() {
    let retires = card(CardKind::Retires, &["9a", "9c", "9d"], &Presence::Unproven);
    assert_eq!(reserve(&retires, &["9d"]), Ok(vec![pair("82", None)]));
    for spots in [&["9a"][..], &["9c"], &["9a", "9c"], &["9d", "9a"]] {
        assert_eq!(reserve(&retires, spots), Err(NoRoom::Kind(CardKind::Retires)), "{spots:?}");
    }
    let fixed = card(CardKind::Fixed, &["9a", "9d"], &Presence::Free);
    for spots in [&["9a"][..], &["9d"]] {
        assert_eq!(reserve(&fixed, spots), Err(NoRoom::Kind(CardKind::Fixed)), "{spots:?}");
    }
}

#[test]
fn a_token_has_room_beside_the_old() {
    let token = card(CardKind::Token, &["9a", "9c"], &Presence::Unknown);
    assert_eq!(reserve(&token, &["9a", "9c"]), Ok(vec![pair("fresh-1", None), pair("fresh-2", None)]));
}

#[test]
fn a_key_that_is_gone_or_that_the_card_does_not_make_is_said() {
    let some = card(CardKind::Moves, &["9a"], &Presence::Free);
    assert_eq!(reserve(&some, &["9c"]), Err(NoRoom::KeyGone(Spot("9c".into()))));
    assert_eq!(reserve(&some, &["00"]), Err(NoRoom::KeyGone(Spot("00".into()))));
    let wanted = [(Spot("9a".into()), KeyAlgorithm::P384)];
    let refused = some.reserve(&wanted, || Spot(String::new()));
    assert_eq!(refused, Err(NoRoom::Algorithm(KeyAlgorithm::P384)));
}

proptest! {
    /// Whatever lies where: a new key and an old one on its way go only where nothing is, or where a new key has just left.
    #[test]
    fn nothing_that_lies_there_is_reserved(taken in proptest::collection::vec(any::<bool>(), 20), pair in any::<bool>()) {
        let mut one = card(CardKind::Moves, &["9a", "9c"], &Presence::Free);
        for state in &mut one.spots {
            let slot = state.spot.slot().filter(|slot| RETIRED.contains(slot));
            if slot.is_some_and(|slot| taken[usize::from(slot - 0x82)]) {
                state.key = key(1);
            }
        }
        let wanted: &[&str] = if pair { &["9a", "9c"] } else { &["9a"] };
        let free = taken.iter().filter(|taken| !**taken).count();
        match one.reserve(&old(wanted), || Spot(String::new())) {
            Err(refused) => prop_assert_eq!(refused, NoRoom::Full { needed: wanted.len() + 1, free }),
            Ok(reserved) => {
                let mut empty: Vec<Spot> = one.spots.iter().filter(|state| state.key == Presence::Free && state.spot.is_retired()).map(|state| state.spot.clone()).collect();
                for one in &reserved {
                    let at = empty.iter().position(|spot| *spot == one.spot).expect("a new key is made where nothing is");
                    empty.remove(at);
                }
                for one in &reserved {
                    let archive = one.archive.clone().expect("this kind moves");
                    let at = empty.iter().position(|spot| *spot == archive).expect("an old key goes where nothing is");
                    empty.remove(at);
                    // The new key leaves its slot for the old one's.
                    empty.push(one.spot.clone());
                }
            }
        }
    }
}
