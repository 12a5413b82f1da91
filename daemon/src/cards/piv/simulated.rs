//! A PIV card in software: all of the commands, and of the mathematics none, which whoever makes it brings along. It notes where
//! a rule is broken that a real card may not enforce (a key is never made over a key), and fails where it is told to.

mod fault;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::management::{Cipher, FACTORY};
use super::tlv::{find, object};
use super::{Transmit, TransportError};

pub use fault::{Fault, Hang};

/// The kinds of card that differ in what they tell and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `YubiKey` 5.7: tells its keys, and moves them.
    YubiKey,
    /// A `YubiKey` before that: tells its keys.
    OldYubiKey,
    /// Tells nothing, and calls itself 6.6.6.
    Nitrokey,
    /// What the standard has, and nothing else.
    Plain,
}

/// A private key, as the card keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The reference of its kind (SP 800-78-5, table 9).
    pub algorithm: u8,
    /// When the PIN is demanded, as Yubico numbers it: 1 never, 2 once, 3 always.
    pub pin: u8,
    /// When a touch is demanded: 1 never, 2 always.
    pub touch: u8,
    /// What tells it from others: its name with the [`Arithmetic`].
    pub seed: u32,
}

/// The mathematics of keys, each known by its seed and made when it is first named.
pub trait Arithmetic: fmt::Debug + Send + Sync {
    /// The objects inside of `7F49` (SP 800-73-4 part 2, table 11); empty if there is no such kind of key.
    fn public_half(&self, algorithm: u8, seed: u32) -> Vec<u8>;

    /// Signs a digest (ECDSA, as DER), or raises to the private exponent (RSA, without padding).
    fn apply(&self, algorithm: u8, seed: u32, input: &[u8]) -> Option<Vec<u8>>;

    /// Agrees with the other side's uncompressed point: the shared coordinate.
    fn agree(&self, algorithm: u8, seed: u32, point: &[u8]) -> Option<Vec<u8>>;
}

/// What is done to keys that nothing brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A key was made where one was: in this slot.
    MadeOver(u8),
    /// A key was moved to where one was: to this slot.
    MovedOver(u8),
    /// The key in this slot was moved to nowhere.
    Deleted(u8),
}

/// A command that came: instruction, P1, P2 and length of its data.
pub type Sent = (u8, u8, u8, usize);

/// The seed of the first key that a card makes itself; those that are put into it have lower ones.
pub const FIRST_MADE: u32 = 101;

/// Where MOVE KEY moves a key that is to be no more.
const DELETED: u8 = 0xFF;

/// What it forgets without power.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Power {
    pin: bool,
    just_verified: bool,
    administrator: bool,
    witness: Option<Vec<u8>>,
    begun: Vec<u8>,
    rest: Vec<u8>,
}

/// The card. A clone has the same keys and goes its own way.
#[derive(Clone, Debug)]
pub struct SimulatedCard {
    /// What it does and tells.
    pub kind: Kind,
    /// Its keys, by slot.
    pub keys: BTreeMap<u8, Key>,
    /// Its objects, by identifier.
    pub objects: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The PIN, filled up.
    pub pin: [u8; 8],
    /// The PUK, filled up.
    pub puk: [u8; 8],
    /// Tries at the PIN, of three.
    pub pin_left: u8,
    /// Tries at the PUK, of three.
    pub puk_left: u8,
    /// The management key and its kind.
    pub management: (u8, Vec<u8>),
    /// What is typed on the reader's pad, if it has one.
    pub pad: Option<[u8; 8]>,
    /// What the next use of a key gives, whatever the arithmetic says.
    pub decrypted: Option<Vec<u8>>,
    /// What was last given to a private key.
    pub input: Vec<u8>,
    /// How often each key was used, by its seed.
    pub used: BTreeMap<u32, usize>,
    /// Nobody touches it.
    pub untouched: bool,
    /// What happens at the APDU with this number, of which the first is 1.
    pub fault: Option<(usize, Fault)>,
    /// Whether it is in the reader.
    pub present: bool,
    /// The commands that it was sent, but for what was not executed.
    pub log: Vec<Sent>,
    /// The first five bytes of each APDU that came.
    pub came: Vec<[u8; 5]>,
    /// How many APDUs came; pieces of a chain and GET RESPONSE count, too.
    pub sent: usize,
    /// How often it was reset.
    pub resets: usize,
    /// What it should never have been told to do.
    pub harm: Vec<Harm>,
    seeds: u32,
    power: Power,
    arithmetic: Arc<dyn Arithmetic>,
}

impl SimulatedCard {
    /// An empty one with PIN 123456, PUK 12345678 and the factory's management key.
    pub fn new(kind: Kind, arithmetic: Arc<dyn Arithmetic>) -> Self {
        let guid = object(0x34, &[0xA5; 16]);
        Self {
            kind,
            keys: BTreeMap::new(),
            objects: BTreeMap::from([(vec![0x5F, 0xC1, 0x02], guid.to_vec())]),
            pin: *b"123456\xFF\xFF",
            puk: *b"12345678",
            pin_left: 3,
            puk_left: 3,
            management: (0x03, FACTORY.to_vec()),
            pad: None,
            decrypted: None,
            input: Vec::new(),
            used: BTreeMap::new(),
            untouched: false,
            fault: None,
            present: true,
            log: Vec::new(),
            came: Vec::new(),
            sent: 0,
            resets: 0,
            harm: Vec::new(),
            seeds: FIRST_MADE - 1,
            power: Power::default(),
            arithmetic,
        }
    }

    /// Puts a key into a slot.
    #[must_use]
    pub fn with_key(mut self, slot: u8, algorithm: u8, pin: u8, seed: u32) -> Self {
        self.keys.insert(slot, Key { algorithm, pin, touch: 1, seed });
        self
    }

    /// Puts a certificate (DER) beside a slot; nowhere, if it is no slot.
    #[must_use]
    pub fn with_certificate(mut self, slot: u8, der: &[u8]) -> Self {
        if let Some(id) = object_of(slot) {
            self.objects.insert(id, super::object::certificate(der).to_vec());
        }
        self
    }

    /// Inserts it again after it was pulled; nothing goes wrong any more.
    pub fn reinsert(&mut self) {
        self.power = Power::default();
        self.present = true;
        self.fault = None;
    }

    /// The certificate (DER) beside a slot.
    pub fn certificate(&self, slot: u8) -> Option<Vec<u8>> {
        match super::object::Stored::parse(self.objects.get(&object_of(slot)?)?) {
            super::object::Stored::Certificate(der) => Some(der),
            _ => None,
        }
    }

    /// What lasts without power.
    #[cfg(test)]
    pub(super) fn lasting(&self) -> (BTreeMap<u8, Key>, BTreeMap<Vec<u8>, Vec<u8>>) {
        (self.keys.clone(), self.objects.clone())
    }

    /// It is out of the reader, and without power.
    pub fn pull(&mut self) {
        self.power = Power::default();
        self.present = false;
    }

    /// Somebody else has verified the PIN.
    #[cfg(test)]
    pub(super) fn open_elsewhere(&mut self) {
        self.power.pin = true;
    }

    /// Whether anybody could now use a key that wants the PIN once.
    pub fn is_open(&self) -> bool {
        self.power.pin
    }

    /// How many commands of this instruction were executed.
    pub fn count(&self, instruction: u8) -> usize {
        self.log.iter().filter(|(sent, ..)| *sent == instruction).count()
    }

    fn take(&mut self, apdu: &[u8]) -> Vec<u8> {
        let [class, instruction, p1, p2, body @ ..] = apdu else { return vec![0x67, 0] };
        let data = match body {
            [] | [_] => &[][..],
            [length, rest @ ..] => &rest[..usize::from(*length).min(rest.len())],
        };
        if *instruction == 0xC0 {
            return self.piece(Vec::new(), 0x9000, true);
        }
        self.power.begun.extend_from_slice(data);
        if class & 0x10 != 0 {
            return vec![0x90, 0];
        }
        let data = std::mem::take(&mut self.power.begun);
        self.log.push((*instruction, *p1, *p2, data.len()));
        let just_verified = std::mem::take(&mut self.power.just_verified);
        let (answer, status) = self.perform(*instruction, *p1, *p2, &data, just_verified);
        self.piece(answer, status, false)
    }

    fn piece(&mut self, answer: Vec<u8>, status: u16, goes_on: bool) -> Vec<u8> {
        if !goes_on {
            self.power.rest = answer;
        }
        let rest = self.power.rest.split_off(256.min(self.power.rest.len()));
        let mut piece = std::mem::replace(&mut self.power.rest, rest);
        let status = match self.power.rest.len() {
            0 => status,
            left => 0x6100 | u16::try_from(left).map_or(0, |left| if left > 255 { 0 } else { left }),
        };
        piece.extend_from_slice(&status.to_be_bytes());
        piece
    }

    fn perform(&mut self, instruction: u8, p1: u8, p2: u8, data: &[u8], just_verified: bool) -> (Vec<u8>, u16) {
        let yubico = self.kind != Kind::Plain;
        match instruction {
            0xA4 => match self.kind {
                Kind::Nitrokey => (object(0x61, &object(0x50, b"Nitrokey PIV")).to_vec(), 0x9000),
                _ => (object(0x61, &object(0x4F, b"\0\0\x10\0\x01\0")).to_vec(), 0x9000),
            },
            0xFD if yubico => match self.kind {
                Kind::YubiKey => (vec![5, 7, 4], 0x9000),
                Kind::OldYubiKey => (vec![5, 4, 3], 0x9000),
                _ => (vec![6, 6, 6], 0x9000),
            },
            0xF8 if yubico => (vec![0, 0x12, 0x34, 0x56], 0x9000),
            0xF7 if yubico => self.metadata(p2),
            0xF6 if self.kind == Kind::YubiKey => self.move_key(p1, p2),
            0x20 => self.verify(data),
            0x24 => self.change(data),
            0x2C => self.unblock(data),
            0xCB => self.get(data),
            0xDB => self.put(data),
            0x47 => self.generate(p2, data),
            0x87 if p2 == 0x9B => self.prove(p1, data),
            0x87 => self.use_key(p1, p2, data, just_verified),
            _ => (vec![], 0x6D00),
        }
    }

    fn metadata(&self, reference: u8) -> (Vec<u8>, u16) {
        if self.kind == Kind::Nitrokey {
            return (vec![], 0x9000);
        }
        let part = |tag, value: &[u8]| object(tag, value).to_vec();
        let parts = match reference {
            0x80 => vec![part(1, &[0xFF]), part(5, &[1]), part(6, &[3, self.pin_left])],
            0x81 => vec![part(1, &[0xFF]), part(5, &[1]), part(6, &[3, self.puk_left])],
            0x9B => {
                let factory = u8::from(self.management.1 == FACTORY);
                vec![part(1, &[self.management.0]), part(2, &[0, 1]), part(5, &[factory])]
            }
            slot => match self.keys.get(&slot) {
                None => return (vec![], 0x6A88),
                Some(key) => vec![
                    part(1, &[key.algorithm]),
                    part(2, &[key.pin, key.touch]),
                    part(3, &[1]),
                    part(4, &self.arithmetic.public_half(key.algorithm, key.seed)),
                ],
            },
        };
        (parts.concat(), 0x9000)
    }

    fn move_key(&mut self, to: u8, from: u8) -> (Vec<u8>, u16) {
        if !self.power.administrator {
            return (vec![], 0x6982);
        }
        if to != DELETED && self.keys.contains_key(&to) {
            self.harm.push(Harm::MovedOver(to));
        }
        let Some(key) = self.keys.remove(&from) else { return (vec![], 0x6A88) };
        if to == DELETED {
            self.harm.push(Harm::Deleted(from));
        } else {
            self.keys.insert(to, key);
        }
        (vec![], 0x9000)
    }

    fn verify(&mut self, data: &[u8]) -> (Vec<u8>, u16) {
        if data.is_empty() {
            return (vec![], if self.power.pin { 0x9000 } else { 0x63C0 | u16::from(self.pin_left) });
        }
        let (status, left) = tried(self.pin_left, data == self.pin);
        self.pin_left = left;
        self.power.pin = status == 0x9000;
        self.power.just_verified = status == 0x9000;
        (vec![], status)
    }

    fn change(&mut self, data: &[u8]) -> (Vec<u8>, u16) {
        let Some((old, new)) = two_secrets(data) else { return (vec![], 0x6700) };
        let (status, left) = tried(self.pin_left, old == self.pin);
        self.pin_left = left;
        if status == 0x9000 {
            self.pin = new;
            self.power.pin = true;
        }
        // Some say no more than that it was wrong.
        let silent = self.kind == Kind::Nitrokey && status != 0x9000;
        (vec![], if silent { 0x6300 } else { status })
    }

    fn unblock(&mut self, data: &[u8]) -> (Vec<u8>, u16) {
        let Some((puk, new)) = two_secrets(data) else { return (vec![], 0x6700) };
        let (status, left) = tried(self.puk_left, puk == self.puk);
        self.puk_left = left;
        if status == 0x9000 {
            self.pin = new;
            self.pin_left = 3;
        }
        (vec![], status)
    }

    fn get(&self, data: &[u8]) -> (Vec<u8>, u16) {
        let Some(id) = find(&[0x5C], data) else { return (vec![], 0x6A80) };
        if id == [0x5F, 0xC1, 0x09] && !self.power.pin {
            return (vec![], 0x6982);
        }
        match self.objects.get(id) {
            Some(content) => (object(0x53, content).to_vec(), 0x9000),
            None => (vec![], 0x6A82),
        }
    }

    fn put(&mut self, data: &[u8]) -> (Vec<u8>, u16) {
        if !self.power.administrator {
            return (vec![], 0x6982);
        }
        let (Some(id), Some(content)) = (find(&[0x5C], data), find(&[0x53], data)) else { return (vec![], 0x6A80) };
        if content.len() > 3052 {
            return (vec![], 0x6A84);
        }
        if content.is_empty() {
            self.objects.remove(id);
        } else {
            self.objects.insert(id.to_vec(), content.to_vec());
        }
        (vec![], 0x9000)
    }

    fn generate(&mut self, slot: u8, data: &[u8]) -> (Vec<u8>, u16) {
        if !self.power.administrator {
            return (vec![], 0x6982);
        }
        if self.kind == Kind::Plain && slot < 0x9A {
            return (vec![], 0x6A86);
        }
        if self.keys.contains_key(&slot) {
            self.harm.push(Harm::MadeOver(slot));
        }
        let said = |tag| find(&[0xAC, tag], data).and_then(|value| value.first()).copied();
        let Some(algorithm) = said(0x80) else { return (vec![], 0x6A80) };
        let usual = match slot {
            0x9C => 3,
            0x9E => 1,
            _ => 2,
        };
        self.seeds += 1;
        let key = Key { algorithm, pin: said(0xAA).unwrap_or(usual), touch: said(0xAB).unwrap_or(1), seed: self.seeds };
        let public = self.arithmetic.public_half(algorithm, key.seed);
        self.keys.insert(slot, key);
        (object(0x7F49, &public).to_vec(), 0x9000)
    }

    fn prove(&mut self, algorithm: u8, data: &[u8]) -> (Vec<u8>, u16) {
        let (right, key) = &self.management;
        if algorithm != *right {
            return (vec![], 0x6A86);
        }
        let Some(cipher) = Cipher::new(algorithm, key) else { return (vec![], 0x6A80) };
        let encrypt = |block: &[u8]| cipher.encrypt(block).map(|block| block.to_vec()).unwrap_or_default();
        let part = |tag| find(&[0x7C, tag], data);
        match (part(0x80), part(0x81)) {
            (Some([]), None) => {
                let witness = vec![0x5A; if algorithm == 0x03 { 8 } else { 16 }];
                let shown = object(0x7C, &object(0x80, &encrypt(&witness))).to_vec();
                self.power.witness = Some(witness);
                (shown, 0x9000)
            }
            (Some(shown), Some(challenge)) => {
                if self.power.witness.take().as_deref() != Some(shown) {
                    return (vec![], 0x6982);
                }
                self.power.administrator = true;
                (object(0x7C, &object(0x82, &encrypt(challenge))).to_vec(), 0x9000)
            }
            _ => (vec![], 0x6A80),
        }
    }

    fn use_key(&mut self, algorithm: u8, slot: u8, data: &[u8], just_verified: bool) -> (Vec<u8>, u16) {
        let Some(key) = self.keys.get(&slot) else {
            return (vec![], if self.kind == Kind::YubiKey { 0x6A80 } else { 0x6985 });
        };
        let allowed = match key.pin {
            1 => true,
            3 => just_verified,
            _ => self.power.pin,
        };
        if !allowed || (key.touch > 1 && self.untouched) {
            return (vec![], 0x6982);
        }
        let length = match algorithm {
            0x07 => 256,
            0x11 => 32,
            0x14 => 48,
            _ => return (vec![], 0x6A80),
        };
        if key.algorithm != algorithm {
            return (vec![], 0x6A80);
        }
        let answer = match (find(&[0x7C, 0x81], data), find(&[0x7C, 0x85], data)) {
            (Some(input), None) if input.len() == length => {
                self.input = input.to_vec();
                self.decrypted.take().or_else(|| self.arithmetic.apply(algorithm, key.seed, input))
            }
            (None, Some(point)) if point.len() == 2 * length + 1 => self.arithmetic.agree(algorithm, key.seed, point),
            _ => None,
        };
        let Some(answer) = answer else { return (vec![], 0x6A80) };
        *self.used.entry(key.seed).or_default() += 1;
        (object(0x7C, &object(0x82, &answer)).to_vec(), 0x9000)
    }
}

impl Transmit for SimulatedCard {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        if !self.present {
            return Err(TransportError::Removed);
        }
        self.sent += 1;
        let mut head = [0; 5];
        head.iter_mut().zip(apdu).for_each(|(head, byte)| *head = *byte);
        self.came.push(head);
        let Some(fault) = self.fault.clone().filter(|(at, _)| *at == self.sent).map(|(_, fault)| fault) else {
            return Ok(Zeroizing::new(self.take(apdu)));
        };
        if fault.after() {
            self.take(apdu);
        }
        match fault {
            Fault::Pulled { .. } => {
                self.pull();
                Err(TransportError::Removed)
            }
            Fault::Broken { .. } => Err(TransportError::Failed("the reader broke".to_owned())),
            Fault::Says { answer, .. } => Ok(Zeroizing::new(answer)),
            Fault::Hangs { hang, .. } => {
                hang.wait();
                self.pull();
                Err(TransportError::Removed)
            }
        }
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        if !self.present {
            return Err(TransportError::Removed);
        }
        self.resets += 1;
        self.power = Power::default();
        Ok(())
    }

    fn has_pad(&mut self) -> bool {
        self.pad.is_some()
    }

    fn verify_by_pad(&mut self, verify: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let mut filled = *verify;
        match self.pad {
            Some(typed) => filled[5..].copy_from_slice(&typed),
            None => return Err(TransportError::Failed("no pad".to_owned())),
        }
        self.transmit(&filled)
    }
}

fn tried(left: u8, right: bool) -> (u16, u8) {
    match (left, right) {
        (1.., true) => (0x9000, 3),
        (0 | 1, _) => (0x6983, 0),
        (left, false) => (0x63C0 | u16::from(left - 1), left - 1),
    }
}

/// Two secrets, one after the other, each filled up to eight bytes.
fn two_secrets(data: &[u8]) -> Option<([u8; 8], [u8; 8])> {
    let (first, second) = data.split_first_chunk::<8>()?;
    Some((*first, second.try_into().ok()?))
}

fn object_of(slot: u8) -> Option<Vec<u8>> {
    let slot = super::slot::Slot::parse(&obnova_core::card::Spot::of_slot(slot)).ok()?;
    Some(slot.object().to_vec())
}
