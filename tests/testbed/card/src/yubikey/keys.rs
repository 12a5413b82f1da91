//! Keys: made, imported, used, moved, described.

use super::MANAGEMENT;
use crate::apdu::{Answer, Command, NO_SPACE, OK, REFERENCE_NOT_FOUND, SECURITY, WRONG_DATA, WRONG_SLOT, only};
use crate::applet::PrivateKey;
use crate::card::{Card, Ending, GENERAL_AUTHENTICATE};
use crate::management::{DEFAULT_KEY, TDES, encrypt};
use crate::memory::{Key, Octets};
use crate::tlv;

const RSA: [u8; 3] = [0x07, 0x05, 0x16];
const ELLIPTIC: [u8; 2] = [0x11, 0x14];

const NEVER: u8 = 1;
const ONCE: u8 = 2;
const ALWAYS: u8 = 3;

const GENERATED: u8 = 1;
const IMPORTED: u8 = 2;

/// In MOVE KEY: nowhere.
const NOWHERE: u8 = 0xFF;

/// The applet's slots that want the PIN once; "always" is counted here.
const INNER_WITH_PIN: [u8; 22] = [
    0x9A, 0x9D, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x91, 0x92, 0x93,
    0x94, 0x95,
];
/// The applet's one slot that does not.
const INNER_WITHOUT_PIN: u8 = 0x9E;

fn is_slot(slot: u8) -> bool {
    matches!(slot, 0x9A | 0x9C | 0x9D | 0x9E | 0x82..=0x95)
}

/// How a key may be used, as GENERATE and IMPORT say it.
struct Policies {
    pin: u8,
    touch: u8,
}

impl Policies {
    /// Where nothing is said, the slot decides.
    fn parse(slot: u8, data: &[u8]) -> Option<Self> {
        let said = |tag| match tlv::find(data, tag) {
            None | Some([0]) => Some(None),
            Some([policy @ 1..=3]) => Some(Some(*policy)),
            Some(_) => None,
        };
        let usual = match slot {
            0x9C => ALWAYS,
            0x9E => NEVER,
            _ => ONCE,
        };
        Some(Self { pin: said(0xAA)?.unwrap_or(usual), touch: said(0xAB)?.unwrap_or(NEVER) })
    }
}

impl Card<'_, '_> {
    /// GENERATE ASYMMETRIC KEY PAIR. As on a YubiKey it replaces what is in the slot.
    pub(super) fn generate(&mut self, command: &Command) -> Answer {
        let slot = command.p2;
        if !self.session.administrator {
            return only(SECURITY);
        }
        if !is_slot(slot) {
            return only(WRONG_SLOT);
        }
        let wanted = tlv::find(&command.data, 0xAC);
        let Some((&[algorithm], policies)) =
            wanted.and_then(|wanted| Some((tlv::find(wanted, 0x80)?, Policies::parse(slot, wanted)?)))
        else {
            return only(WRONG_DATA);
        };
        if !RSA.contains(&algorithm) && !ELLIPTIC.contains(&algorithm) {
            return only(WRONG_DATA);
        }
        let Some(inner) = self.free_inner(slot, policies.pin) else { return only(NO_SPACE) };
        self.prove_inner_management_key();
        let data = tlv::object(&[0xAC], &tlv::object(&[0x80], &[algorithm]));
        let answer = self.applet.perform(&Command { data, ..command.with_p2(inner) });
        if let (data, OK) = &answer {
            let public = tlv::find(data, 0x7F49).expect("a public key").to_vec();
            self.keep(slot, inner, algorithm, &policies, GENERATED, public);
        }
        answer
    }

    /// IMPORT ASYMMETRIC KEY: primes and what follows from them, or a scalar.
    pub(super) fn import(&mut self, command: &Command) -> Answer {
        let (algorithm, slot) = (command.p1, command.p2);
        if !self.session.administrator {
            return only(SECURITY);
        }
        if !is_slot(slot) {
            return only(WRONG_SLOT);
        }
        let part = |tag| tlv::find(&command.data, tag);
        let key = match (part(0x01), part(0x02), part(0x06)) {
            (Some(p), Some(q), None) if RSA.contains(&algorithm) => PrivateKey::Rsa { p, q },
            (None, None, Some(scalar)) if ELLIPTIC.contains(&algorithm) => PrivateKey::Elliptic(scalar),
            _ => return only(WRONG_DATA),
        };
        let Some(policies) = Policies::parse(slot, &command.data) else { return only(WRONG_DATA) };
        let Some(inner) = self.free_inner(slot, policies.pin) else { return only(NO_SPACE) };
        match self.applet.import(inner, algorithm, &key) {
            Ok(public) => {
                self.keep(slot, inner, algorithm, &policies, IMPORTED, public);
                self.ending = Some(Ending::Files);
                only(OK)
            }
            Err(status) => only(status),
        }
    }

    /// MOVE KEY: P1 is where to, P2 where from.
    pub(super) fn move_key(&mut self, command: &Command) -> Answer {
        let (to, from) = (command.p1, command.p2);
        if !self.session.administrator {
            return only(SECURITY);
        }
        if !is_slot(from) || !(is_slot(to) || to == NOWHERE) || to == from {
            return only(WRONG_SLOT);
        }
        if self.memory.keys.contains_key(&to) {
            return only(WRONG_DATA);
        }
        let Some(key) = self.memory.keys.remove(&from) else { return only(REFERENCE_NOT_FOUND) };
        if to != NOWHERE {
            self.memory.keys.insert(to, key);
        }
        self.memory.save();
        only(OK)
    }

    /// GENERAL AUTHENTICATE with an asymmetric key.
    pub(super) fn use_private_key(&mut self, command: &Command, just_verified: bool) -> Answer {
        let Some(key) = self.memory.keys.get(&command.p2) else { return only(WRONG_DATA) };
        if key.algorithm != command.p1 {
            return only(WRONG_DATA);
        }
        let allowed = match key.pin_policy {
            NEVER => true,
            ONCE => self.session.pin.is_some(),
            _ => just_verified,
        };
        if !allowed || (key.touch_policy != NEVER && !self.control.touched()) {
            return only(SECURITY);
        }
        self.applet.perform(&command.with_p2(key.inner))
    }

    /// GET METADATA.
    pub(super) fn metadata(&mut self, reference: u8) -> Answer {
        let mut answer = Vec::new();
        let mut put = |tag, value: &[u8]| tlv::put(&mut answer, &[tag], value);
        match reference {
            0x80 | 0x81 => {
                let (pin, puk) = self.applet.tries_left();
                let (tries, left) = if reference == 0x80 { (&self.memory.pin, pin) } else { (&self.memory.puk, puk) };
                put(0x01, &[0xFF]);
                put(0x05, &[u8::from(tries.default)]);
                put(0x06, &[tries.total, left]);
            }
            MANAGEMENT => {
                let management = &self.memory.management;
                put(0x01, &[management.algorithm]);
                put(0x02, &[0, management.touch_policy]);
                put(0x05, &[u8::from(management.key.0 == DEFAULT_KEY)]);
            }
            slot => {
                let Some(key) = self.memory.keys.get(&slot) else { return only(REFERENCE_NOT_FOUND) };
                put(0x01, &[key.algorithm]);
                put(0x02, &[key.pin_policy, key.touch_policy]);
                put(0x03, &[key.origin]);
                put(0x04, &key.public.0);
            }
        }
        (answer, OK)
    }

    /// A slot of the applet for a new key. What the world's slot held before keeps its own until the new key is in the table.
    fn free_inner(&self, slot: u8, pin_policy: u8) -> Option<u8> {
        let others = |inner: u8| self.memory.keys.iter().any(|(at, key)| key.inner == inner && *at != slot);
        let any = |inner: u8| self.memory.keys.values().any(|key| key.inner == inner);
        if pin_policy == NEVER {
            return (!others(INNER_WITHOUT_PIN)).then_some(INNER_WITHOUT_PIN);
        }
        INNER_WITH_PIN.into_iter().find(|inner| !any(*inner))
    }

    fn keep(&mut self, slot: u8, inner: u8, algorithm: u8, policies: &Policies, origin: u8, public: Vec<u8>) {
        let Policies { pin: pin_policy, touch: touch_policy } = *policies;
        self.memory.keys.insert(slot, Key { inner, algorithm, pin_policy, touch_policy, origin, public: Octets(public) });
        self.memory.save();
    }

    /// The applet wants its own management key, which is always that of a new card.
    fn prove_inner_management_key(&mut self) {
        let mut authenticate = |template: Vec<u8>| {
            let data = tlv::object(&[0x7C], &template);
            let command =
                Command { class: 0, instruction: GENERAL_AUTHENTICATE, p1: TDES, p2: MANAGEMENT, data, expected: 256 };
            let (answer, status) = self.applet.perform(&command);
            assert_eq!(status, OK, "the applet knows its management key");
            answer
        };
        let answer = authenticate(tlv::object(&[0x81], &[]));
        let challenge = tlv::find(&answer, 0x7C).and_then(|template| tlv::find(template, 0x81)).expect("a challenge");
        let response = encrypt(TDES, &DEFAULT_KEY, challenge).expect("a block");
        authenticate(tlv::object(&[0x82], &response));
    }
}
