//! PIN, PUK and management key: proved, changed, unblocked, forgotten.

use crate::apdu::{Answer, BLOCKED, CONDITIONS, Command, OK, SECURITY, Status, WRONG_DATA, WRONG_PARAMETERS, only};
use crate::applet::{DEFAULT_PIN, DEFAULT_PUK, Secret};
use crate::card::Card;
use crate::management::{TDES, encrypt, key_length, random_block};
use crate::memory::{Management, Octets, Tries};
use crate::tlv;

const PIN: u8 = 0x80;
const PUK: u8 = 0x81;

/// What the applet says of a wrong PIN or PUK in CHANGE REFERENCE DATA, without the tries.
const VERIFICATION_FAILED: Status = 0x6300;

impl Card<'_, '_> {
    pub(super) fn verify(&mut self, command: &Command) -> Answer {
        let answer = self.applet.perform(command);
        let pin = Secret::try_from(command.data.as_slice());
        match (command.p1, pin, answer.1) {
            (0, Ok(pin), OK) => {
                self.session.pin = Some(pin);
                self.session.just_verified = true;
            }
            (0xFF, _, OK) | (0, Ok(_), 0x63C0..=0x63CF | BLOCKED) => self.session.pin = None,
            _ => {}
        }
        answer
    }

    pub(super) fn change_reference(&mut self, command: &Command) -> Answer {
        let answer = self.applet.perform(command);
        let new = command.data.get(8..16).and_then(|new| Secret::try_from(new).ok());
        match (answer.1, new) {
            (OK, Some(new)) if command.p2 == PIN => {
                self.session.pin = Some(new);
                self.memory.pin.default = new == DEFAULT_PIN;
                self.memory.save();
            }
            (OK, Some(new)) => {
                self.memory.puk.default = new == DEFAULT_PUK;
                self.memory.save();
            }
            (VERIFICATION_FAILED, _) => return only(self.refused(command.p2)),
            _ => {}
        }
        answer
    }

    /// RESET RETRY COUNTER: a new PIN by the PUK.
    pub(super) fn reset_retry(&mut self, command: &Command) -> Answer {
        let blocked = self.applet.tries_left().1 == 0;
        let answer = self.applet.perform(command);
        let new = command.data.get(8..16).and_then(|new| Secret::try_from(new).ok());
        match (answer.1, new) {
            (OK, Some(new)) => {
                // The applet gives it the tries of a new card.
                self.applet.set_pin(new, new, self.memory.pin.total);
                self.memory.pin.default = new == DEFAULT_PIN;
                self.memory.save();
            }
            (0x63C0..=0x63CF, _) if blocked => return only(BLOCKED),
            _ => {}
        }
        answer
    }

    fn refused(&mut self, reference: u8) -> Status {
        let (pin, puk) = self.applet.tries_left();
        match if reference == PUK { puk } else { pin } {
            0 => BLOCKED,
            left => 0x63C0 | Status::from(left.min(15)),
        }
    }

    /// SET PIN RETRIES: P1 for the PIN, P2 for the PUK; both become those of a new card.
    pub(super) fn set_retries(&mut self, command: &Command) -> Answer {
        let (Some(pin), true) = (self.session.pin, self.session.administrator) else { return only(SECURITY) };
        if command.p1 == 0 || command.p2 == 0 {
            return only(WRONG_PARAMETERS);
        }
        self.applet.set_pin(pin, DEFAULT_PIN, command.p1);
        self.applet.set_puk(DEFAULT_PIN, DEFAULT_PUK, command.p2);
        self.session.pin = Some(DEFAULT_PIN);
        self.memory.pin = Tries { default: true, total: command.p1 };
        self.memory.puk = Tries { default: true, total: command.p2 };
        self.memory.save();
        only(OK)
    }

    /// GENERAL AUTHENTICATE with the management key: the other side proves it, or both sides do (SP 800-73-4 part 2, appendix A.1).
    pub(super) fn authenticate_administrator(&mut self, command: &Command, challenge: Option<Vec<u8>>) -> Answer {
        let Management { algorithm, ref key, .. } = self.memory.management;
        // Zero is the standard's other name for triple DES.
        let right_algorithm = command.p1 == algorithm || (command.p1 == 0 && algorithm == TDES);
        let Some(template) = tlv::find(&command.data, 0x7C).filter(|_| right_algorithm) else { return only(WRONG_DATA) };
        let part = |tag| tlv::find(template, tag);
        let answer = |tag, value: &[u8]| (tlv::object(&[0x7C], &tlv::object(&[tag], value)), OK);
        let encrypted = |block: &[u8]| encrypt(algorithm, &key.0, block);
        match (part(0x80), part(0x81), part(0x82)) {
            (Some([]), None, _) => {
                let witness = random_block(algorithm);
                let answer = answer(0x80, &encrypted(&witness).expect("a block"));
                self.session.challenge = Some(witness);
                answer
            }
            (Some(decrypted), Some(block), _) => match (challenge, encrypted(block)) {
                (Some(witness), Some(response)) if witness == decrypted => {
                    self.session.administrator = true;
                    answer(0x82, &response)
                }
                _ => only(SECURITY),
            },
            (None, Some([]), None) => {
                let block = random_block(algorithm);
                self.session.challenge = encrypted(&block);
                answer(0x81, &block)
            }
            (None, None, Some(response)) if challenge.as_deref() == Some(response) => {
                self.session.administrator = true;
                only(OK)
            }
            (None, None, Some(_)) => only(SECURITY),
            _ => only(WRONG_DATA),
        }
    }

    /// SET MANAGEMENT KEY: algorithm, 9B, length, key; P2 says whether a touch is to go with it.
    pub(super) fn set_management_key(&mut self, command: &Command) -> Answer {
        if !self.session.administrator {
            return only(SECURITY);
        }
        let touch_policy = match (command.p1, command.p2) {
            (0xFF, 0xFF) => 1,
            (0xFF, 0xFE) => 2,
            _ => return only(WRONG_PARAMETERS),
        };
        let [algorithm, super::MANAGEMENT, length, ref key @ ..] = *command.data.as_slice() else { return only(WRONG_DATA) };
        if key_length(algorithm) != Some(key.len()) || key.len() != usize::from(length) {
            return only(WRONG_DATA);
        }
        self.memory.management = Management { algorithm, key: Octets(key.to_vec()), touch_policy };
        self.memory.save();
        only(OK)
    }

    /// RESET: only when nobody can use the card any more.
    pub(super) fn factory_reset(&mut self) -> Answer {
        if self.applet.tries_left() != (0, 0) {
            return only(CONDITIONS);
        }
        let reset = Command { class: 0, instruction: super::RESET, p1: 0, p2: 0, data: Vec::new(), expected: 256 };
        let answer = self.applet.perform(&reset);
        if answer.1 == OK {
            self.forget_everything();
        }
        answer
    }
}
