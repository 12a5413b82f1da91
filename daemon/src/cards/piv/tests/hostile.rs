use obnova_core::certificate::KeyAlgorithm;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::{Transmit, TransportError};
use super::*;

/// No step, however answered, may send more commands than this. The longest honest one sends about 100.
const MOST_COMMANDS: usize = 20_000;

/// Answers as it likes.
struct Liar<F> {
    answer: F,
    sent: usize,
}

impl<F: FnMut(usize, &[u8]) -> Vec<u8>> Transmit for Liar<F> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        self.sent += 1;
        assert!(self.sent < MOST_COMMANDS, "a step without end");
        Ok(Zeroizing::new((self.answer)(self.sent, apdu)))
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    fn has_pad(&mut self) -> bool {
        false
    }

    fn verify_by_pad(&mut self, _: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        unreachable!("there is no pad")
    }
}

fn steps() -> Vec<CardStep> {
    let [from, to, archive] = ["83", "9c", "82"].map(spot);
    let (new, old) = (Bytes(certificate(P256, 12, 1)), Bytes(certificate(P256, 2, 1)));
    let public_key = public_key(RSA, 1);
    vec![
        CardStep::Look {},
        CardStep::Verify {},
        CardStep::Generate { spot: from.clone(), algorithm: KeyAlgorithm::Rsa(2048), like: to.clone(), label: String::new() },
        CardStep::Sign { spot: spot("9a"), public_key: public_key.clone(), message: Bytes(vec![1]) },
        CardStep::Decrypt { spot: spot("9a"), public_key, ciphertext: Bytes(vec![1; 256]) },
        CardStep::Install { spot: from.clone(), certificate: new.clone(), label: String::new() },
        CardStep::Promote { from, to, archive, new, old },
        CardStep::Announce {},
        CardStep::ChangePin {},
        CardStep::Unblock {},
    ]
}

fn everything() -> Secrets {
    Secrets {
        pin: Some(secret("123456")),
        new_pin: Some(secret("234567")),
        puk: Some(secret("12345678")),
        management_key: Some(secret(&"0102030405060708".repeat(3))),
        last_try: false,
    }
}

fn all_steps_end(mut answer: impl FnMut(usize, &[u8]) -> Vec<u8>) {
    for step in steps() {
        let mut liar = Liar { answer: &mut answer, sent: 0 };
        if let Err(error) = perform(&mut liar, None, &step, &everything()) {
            assert!(!error.to_string().contains("123456"), "an error tells a secret: {error}");
        }
    }
}

#[test]
fn endless_answers_end() {
    all_steps_end(|_, _| [vec![0x53; 256], vec![0x61, 0]].concat());
    all_steps_end(|_, _| vec![0x61, 0]);
    all_steps_end(|_, _| vec![0x6C, 1]);
    all_steps_end(|_, _| vec![0x90, 0]);
    all_steps_end(|_, _| vec![0; 1 << 20]);
    all_steps_end(|_, _| Vec::new());
    // Selected well, and endless after that.
    all_steps_end(|sent, _| if sent == 1 { vec![0x90, 0] } else { [vec![1; 256], vec![0x61, 0xFF]].concat() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_answers_end(answers in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..60), 0_usize..8), 1..40)) {
        let statuses: [&[u8]; 8] =
            [&[0x90, 0], &[0x90, 0], &[0x90, 0], &[0x6A, 0x82], &[0x6A, 0x88], &[0x61, 0x10], &[0x63, 0xC3], &[]];
        all_steps_end(|sent, _| {
            let (data, status) = &answers[sent % answers.len()];
            [data.as_slice(), statuses[*status]].concat()
        });
    }

    /// An honest card, some of whose bytes are changed on the way.
    #[test]
    fn flipped_bits_end(kind in 0_usize..4, flips in proptest::collection::vec((any::<u8>(), any::<u16>(), 0_u8..8), 1..20)) {
        let kind = [Kind::YubiKey, Kind::OldYubiKey, Kind::Nitrokey, Kind::Plain][kind];
        for step in steps() {
            let mut card = twins(kind).with_key(0x83, P256, ALWAYS, 12).with_certificate(0x83, &certificate(P256, 12, 1));
            let mut liar = Liar {
                answer: |sent: usize, apdu: &[u8]| {
                    let mut answer = card.transmit(apdu).expect("the card is there").to_vec();
                    for (at, byte, bit) in &flips {
                        let length = answer.len();
                        if usize::from(*at) == sent {
                            answer[usize::from(*byte) % length] ^= 1 << bit;
                        }
                    }
                    answer
                },
                sent: 0,
            };
            let _ = perform(&mut liar, None, &step, &everything());
        }
    }
}
