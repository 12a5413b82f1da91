//! A PIV card without arithmetic: all of the commands, none of the mathematics. It holds the rules that a real card may not
//! enforce (a key is never made over a key), and fails where a test wants it to.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::management::{Cipher, FACTORY};
use super::tlv::{find, joined, object};
use super::{Transmit, TransportError};

/// The kinds of card, as FACTS tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    YubiKey,
    OldYubiKey,
    Nitrokey,
    Plain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) algorithm: u8,
    pub(super) pin: u8,
    pub(super) touch: u8,
    pub(super) seed: u32,
}

/// What goes wrong instead of a command.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The card is pulled before the command, or after it.
    Pulled { after: bool },
    /// The reader fails.
    Broken { after: bool },
    /// The card says this, without doing it or after it.
    Says { after: bool, answer: Vec<u8> },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Power {
    pin: bool,
    just_verified: bool,
    administrator: bool,
    witness: Option<Vec<u8>>,
    begun: Vec<u8>,
    rest: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct SimulatedCard {
    pub(super) kind: Kind,
    pub(super) keys: BTreeMap<u8, Key>,
    pub(super) objects: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) pin: [u8; 8],
    pub(super) puk: [u8; 8],
    pub(super) pin_left: u8,
    pub(super) puk_left: u8,
    pub(super) management: (u8, Vec<u8>),
    pub(super) pad: Option<[u8; 8]>,
    /// What the next decryption gives.
    pub(super) decrypted: Option<Vec<u8>>,
    /// What was last given to a private key.
    pub(super) input: Vec<u8>,
    /// Nobody touches it.
    pub(super) untouched: bool,
    pub(super) fault: Option<(usize, Fault)>,
    pub(super) present: bool,
    /// Instruction, P1, P2 and length of the data of each command.
    pub(super) log: Vec<(u8, u8, u8, usize)>,
    pub(super) sent: usize,
    pub(super) resets: usize,
    seeds: u32,
    power: Power,
}

impl SimulatedCard {
    pub(super) fn new(kind: Kind) -> Self {
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
            untouched: false,
            fault: None,
            present: true,
            log: Vec::new(),
            sent: 0,
            resets: 0,
            seeds: 100,
            power: Power::default(),
        }
    }

    /// Puts a key into a slot.
    pub(super) fn with_key(mut self, slot: u8, algorithm: u8, pin: u8, seed: u32) -> Self {
        self.keys.insert(slot, Key { algorithm, pin, touch: 1, seed });
        self
    }

    /// Puts a certificate beside a slot.
    pub(super) fn with_certificate(mut self, slot: u8, der: &[u8]) -> Self {
        self.objects.insert(object_of(slot), super::object::certificate(der).to_vec());
        self
    }

    /// After it was pulled.
    pub(super) fn reinsert(&mut self) {
        self.power = Power::default();
        self.present = true;
        self.fault = None;
    }

    /// What lasts without power.
    pub(super) fn lasting(&self) -> (BTreeMap<u8, Key>, BTreeMap<Vec<u8>, Vec<u8>>) {
        (self.keys.clone(), self.objects.clone())
    }

    /// Somebody else has verified the PIN.
    pub(super) fn open_elsewhere(&mut self) {
        self.power.pin = true;
    }

    /// Whether anybody could now use a key that wants the PIN once.
    pub(super) fn is_open(&self) -> bool {
        self.power.pin
    }

    pub(super) fn count(&self, instruction: u8) -> usize {
        self.log.iter().filter(|(sent, ..)| *sent == instruction).count()
    }

    fn take(&mut self, apdu: &[u8]) -> Vec<u8> {
        let [class, instruction, p1, p2, body @ ..] = apdu else { return vec![0x67, 0] };
        let data = match body {
            [] | [_] => &[][..],
            [length, rest @ ..] => &rest[..usize::from(*length)],
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
                    part(4, &public_half(key.algorithm, key.seed)),
                ],
            },
        };
        (parts.concat(), 0x9000)
    }

    fn move_key(&mut self, to: u8, from: u8) -> (Vec<u8>, u16) {
        if !self.power.administrator {
            return (vec![], 0x6982);
        }
        assert!(!self.keys.contains_key(&to), "a key was moved over a key in {to:02x}");
        let Some(key) = self.keys.remove(&from) else { return (vec![], 0x6A88) };
        self.keys.insert(to, key);
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
        let (status, left) = tried(self.pin_left, data[..8] == self.pin);
        self.pin_left = left;
        if status == 0x9000 {
            self.pin.copy_from_slice(&data[8..]);
            self.power.pin = true;
        }
        // Some say no more than that it was wrong.
        let silent = self.kind == Kind::Nitrokey && status != 0x9000;
        (vec![], if silent { 0x6300 } else { status })
    }

    fn unblock(&mut self, data: &[u8]) -> (Vec<u8>, u16) {
        let (status, left) = tried(self.puk_left, data[..8] == self.puk);
        self.puk_left = left;
        if status == 0x9000 {
            self.pin.copy_from_slice(&data[8..]);
            self.pin_left = 3;
        }
        (vec![], status)
    }

    fn get(&self, data: &[u8]) -> (Vec<u8>, u16) {
        let id = find(&[0x5C], data).expect("an object is asked for");
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
        let (id, content) = (find(&[0x5C], data).expect("an id"), find(&[0x53], data).expect("a content"));
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
        assert!(!self.keys.contains_key(&slot), "a key was made over a key in {slot:02x}");
        let algorithm = find(&[0xAC, 0x80], data).expect("an algorithm")[0];
        let said = |tag| find(&[0xAC, tag], data).map(|policy| policy[0]);
        let usual = match slot {
            0x9C => 3,
            0x9E => 1,
            _ => 2,
        };
        self.seeds += 1;
        let key = Key { algorithm, pin: said(0xAA).unwrap_or(usual), touch: said(0xAB).unwrap_or(1), seed: self.seeds };
        let public = public_half(algorithm, key.seed);
        self.keys.insert(slot, key);
        (object(0x7F49, &public).to_vec(), 0x9000)
    }

    fn prove(&mut self, algorithm: u8, data: &[u8]) -> (Vec<u8>, u16) {
        let (right, key) = &self.management;
        if algorithm != *right {
            return (vec![], 0x6A86);
        }
        let cipher = Cipher::new(algorithm, key).expect("a key that fits");
        let part = |tag| find(&[0x7C, tag], data);
        match (part(0x80), part(0x81)) {
            (Some([]), None) => {
                let witness = vec![0x5A; if algorithm == 0x03 { 8 } else { 16 }];
                let shown = object(0x7C, &object(0x80, &cipher.encrypt(&witness).expect("a block"))).to_vec();
                self.power.witness = Some(witness);
                (shown, 0x9000)
            }
            (Some(shown), Some(challenge)) => {
                if self.power.witness.take().as_deref() != Some(shown) {
                    return (vec![], 0x6982);
                }
                self.power.administrator = true;
                (object(0x7C, &object(0x82, &cipher.encrypt(challenge).expect("a block"))).to_vec(), 0x9000)
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
            other => panic!("no key of {other:02x} is used"),
        };
        let answer = match (find(&[0x7C, 0x81], data), find(&[0x7C, 0x85], data)) {
            (Some(input), None) if key.algorithm == algorithm && input.len() == length => {
                self.input = input.to_vec();
                match self.decrypted.take() {
                    Some(plain) => plain,
                    None if algorithm == 0x07 => input.iter().rev().copied().collect(),
                    None => object(0x30, &joined(&[&object(2, &[1; 20]), &object(2, &[2; 20])])).to_vec(),
                }
            }
            (None, Some(point)) if key.algorithm == algorithm && point.len() == 2 * length + 1 => point[1..=length].to_vec(),
            _ => return (vec![], 0x6A80),
        };
        (object(0x7C, &object(0x82, &answer)).to_vec(), 0x9000)
    }
}

impl Transmit for SimulatedCard {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        if !self.present {
            return Err(TransportError::Removed);
        }
        self.sent += 1;
        let Some(fault) = self.fault.clone().filter(|(at, _)| *at == self.sent).map(|(_, fault)| fault) else {
            return Ok(Zeroizing::new(self.take(apdu)));
        };
        let (Fault::Pulled { after } | Fault::Broken { after } | Fault::Says { after, .. }) = fault;
        if after {
            self.take(apdu);
        }
        match fault {
            Fault::Pulled { .. } => {
                self.present = false;
                self.power = Power::default();
                Err(TransportError::Removed)
            }
            Fault::Broken { .. } => Err(TransportError::Failed("the reader broke".to_owned())),
            Fault::Says { answer, .. } => Ok(Zeroizing::new(answer)),
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
        filled[5..].copy_from_slice(&self.pad.expect("there is a pad"));
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

fn object_of(slot: u8) -> Vec<u8> {
    super::slot::Slot::parse(&obnova_core::card::Spot(format!("{slot:02x}"))).expect("a slot").object().to_vec()
}

/// The objects inside of `7F49` for a key that is told from others by its seed alone.
pub(super) fn public_half(algorithm: u8, seed: u32) -> Vec<u8> {
    let bytes = |length: usize| -> Vec<u8> {
        let block = |part: u32| Sha256::digest([seed.to_be_bytes(), part.to_be_bytes()].concat()).to_vec();
        (0..).flat_map(block).take(length).collect()
    };
    match algorithm {
        0x11 => object(0x86, &[vec![4], bytes(64)].concat()).to_vec(),
        0x14 => object(0x86, &[vec![4], bytes(96)].concat()).to_vec(),
        _ => {
            let length = match algorithm {
                0x05 => 384,
                0x16 => 512,
                _ => 256,
            };
            let mut modulus = bytes(length);
            modulus[0] |= 0x80;
            [object(0x81, &modulus).to_vec(), object(0x82, &[1, 0, 1]).to_vec()].concat()
        }
    }
}
