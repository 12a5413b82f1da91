use sha2::{Digest, Sha256};

use super::*;

fn sign(at: &str, key: Bytes) -> CardStep {
    CardStep::Sign { spot: spot(at), public_key: key, message: Bytes(b"a message".to_vec()) }
}

#[test]
fn rsa_signs_a_padded_digest() {
    for kind in [Kind::YubiKey, Kind::Nitrokey, Kind::Plain] {
        let mut card = twins(kind);
        let Ok(CardAnswer::Signature { signature }) = run(&mut card, &sign("9a", public_key(RSA, 1)), &with_pin()) else {
            panic!("no signature");
        };
        let block: Vec<u8> = signature.0.iter().rev().copied().collect();
        assert_eq!((block.len(), &block[..4]), (256, &[0, 1, 0xFF, 0xFF][..]));
        assert_eq!(
            block[256 - 52..256 - 32],
            *b"\x00\x30\x31\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        );
        assert_eq!(block[256 - 32..], *Sha256::digest(b"a message"));
        assert!(block[2..256 - 52].iter().all(|byte| *byte == 0xFF));
        assert!(!card.is_open());
    }
}

#[test]
fn a_key_that_always_wants_the_pin_gets_it_just_before() {
    for kind in [Kind::YubiKey, Kind::Nitrokey, Kind::Plain] {
        let mut card = twins(kind);
        for _ in 0..2 {
            let signed = run(&mut card, &sign("9c", public_key(P256, 2)), &with_pin());
            assert!(matches!(signed, Ok(CardAnswer::Signature { .. })), "{kind:?} {signed:?}");
        }
        assert_eq!(card.input, *Sha256::digest(b"a message"));
        let uses = card.log.iter().enumerate().filter(|(_, (instruction, ..))| *instruction == 0x87);
        for (index, _) in uses {
            assert!(matches!(card.log[index - 1], (0x20, _, _, 8)), "{kind:?}: {:02x?}", card.log[index - 1]);
        }
    }
}

#[test]
fn only_the_right_key_is_used() {
    for kind in [Kind::YubiKey, Kind::Nitrokey] {
        let mut card = twins(kind);
        let missing = Err(CardError::KeyMissing { spot: spot("9a") });
        assert_eq!(run(&mut card, &sign("9a", public_key(RSA, 5)), &with_pin()), missing);
        assert_eq!(card.count(0x87), 0);
    }
    let mut card = twins(Kind::YubiKey);
    assert_eq!(run(&mut card, &sign("9d", public_key(RSA, 1)), &with_pin()), Err(CardError::KeyMissing { spot: spot("9d") }));
    assert!(run(&mut card, &sign("9a", Bytes(vec![1, 2, 3])), &with_pin()).is_err());
}

#[test]
fn no_pin_is_asked_for_where_none_is_wanted_and_a_touch_is_told() {
    let mut card = twins(Kind::YubiKey).with_key(0x9E, P256, 1, 4);
    let signed = run(&mut card, &sign("9e", public_key(P256, 4)), &Secrets::default());
    assert!(matches!(signed, Ok(CardAnswer::Signature { .. })), "{signed:?}");
    card.keys.get_mut(&0x9E).expect("9e").touch = 2;
    card.untouched = true;
    let untouched = run(&mut card, &sign("9e", public_key(P256, 4)), &Secrets::default());
    assert_eq!(untouched, Err(CardError::NotTouched {}));
    assert_eq!(run(&mut card, &sign("9a", public_key(RSA, 1)), &Secrets::default()), Err(CardError::PinNeeded {}));
}

#[test]
fn messages_are_decrypted_and_secrets_agreed() {
    let mut card = twins(Kind::YubiKey).with_key(0x9D, P256, ONCE, 5);
    let decrypt = |at: &str, key: Bytes, ciphertext: Vec<u8>| CardStep::Decrypt {
        spot: spot(at),
        public_key: key,
        ciphertext: Bytes(ciphertext),
    };
    let block = |message: &[u8]| [&[0, 2], vec![7; 253 - message.len()].as_slice(), &[0], message].concat();
    card.decrypted = Some(block(b"hello"));
    let plain = run(&mut card, &decrypt("9a", public_key(RSA, 1), vec![9; 255]), &with_pin());
    assert_eq!(plain, Ok(CardAnswer::Plain { plain: Bytes(b"hello".to_vec()) }));
    assert_eq!((card.input.len(), card.input[0]), (256, 0), "a short number is filled up");
    for wrong in [block(b"hello")[1..].to_vec(), vec![7; 256], [&[0, 2, 1, 2, 3, 0][..], &[1; 250]].concat(), vec![]] {
        card.decrypted = Some(wrong);
        let plain = run(&mut card, &decrypt("9a", public_key(RSA, 1), vec![9; 256]), &with_pin());
        assert!(matches!(plain, Err(CardError::Failed { .. })), "{plain:?}");
    }
    let point = [&[4][..], &[3; 64]].concat();
    let agreed = run(&mut card, &decrypt("9d", public_key(P256, 5), point), &with_pin());
    assert_eq!(agreed, Ok(CardAnswer::Plain { plain: Bytes(vec![3; 32]) }));
}
