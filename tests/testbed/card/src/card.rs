//! The card: which kind it is, what every kind does, and what it remembers while it has power. What only a YubiKey does stands
//! in `yubikey`.

use crate::apdu::{Answer, Command, Exchange, NOT_FOUND, OK, UNKNOWN_INSTRUCTION, WRONG_PARAMETERS, only};
use crate::applet::{Applet, Secret};
use crate::control::Control;
use crate::line::Powered;
use crate::memory::{Memory, Octets};
use crate::{tlv, yubikey};

/// What a card can do with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A YubiKey 5.7: metadata with public keys, and keys that move.
    Moves,
    /// A Nitrokey 3: generates in every slot, also over a key; its metadata is empty and its version a trap.
    Generates,
    /// Plain PIV: generates in 9A, 9C, 9D and 9E alone, and has no commands but the standard's.
    Strict,
}

impl Kind {
    /// The name that the applet gives itself.
    pub(crate) fn label(self) -> &'static [u8] {
        match self {
            Self::Moves => b"YubiKey PIV",
            Self::Generates => b"Nitrokey PIV",
            Self::Strict => b"PIV",
        }
    }

    /// The answer to reset, as that card's.
    pub(crate) fn atr(self) -> &'static [u8] {
        match self {
            Self::Moves => b"\x3B\xFD\x13\x00\x00\x81\x31\xFE\x15\x80\x73\xC0\x21\xC0\x57YubiKey\x40",
            Self::Generates => b"\x3B\x8F\x01\x80\x5DNitrokey\x00\x00\x00\x00\x00\x6A",
            Self::Strict => b"\x3B\x85\x80\x01\x80\x53PIV\x98",
        }
    }
}

/// What a card knows until it loses power.
#[derive(Default)]
pub(crate) struct Session {
    /// Nothing is answered before SELECT.
    pub(crate) selected: bool,
    /// The PIN, once it was right.
    pub(crate) pin: Option<Secret>,
    /// Whether the command before this one was a right PIN.
    pub(crate) just_verified: bool,
    /// Whether the management key was proved.
    pub(crate) administrator: bool,
    /// What the other side must show to prove it.
    pub(crate) challenge: Option<Vec<u8>>,
}

impl Session {
    /// Brings an applet that has new power to where the card is.
    pub(crate) fn restore(&mut self, applet: &mut Applet<'_>) {
        let data = self.pin.map(Vec::from).unwrap_or_default();
        // Also without a PIN: the first command lays out a new card.
        applet.perform(&Command { class: 0, instruction: VERIFY, p1: 0, p2: 0x80, data, expected: 256 });
    }
}

/// Why the applet must be without power for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The card lost power, or was reset: it forgets.
    Power,
    /// The applet must look at its files again; the card goes on.
    Files,
}

pub(crate) const VERIFY: u8 = 0x20;
pub(crate) const GENERATE: u8 = 0x47;
pub(crate) const GENERAL_AUTHENTICATE: u8 = 0x87;
pub(crate) const SELECT: u8 = 0xA4;
pub(crate) const GET_DATA: u8 = 0xCB;
pub(crate) const PUT_DATA: u8 = 0xDB;

/// The first of the instructions that are not the standard's.
const FIRST_PRIVATE: u8 = 0xF0;

const AID: [u8; 11] = [0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];
/// The shortest beginning of it that is the standard's own.
const SHORTEST_AID: usize = 5;

pub(crate) const KEY_HISTORY: u32 = 0x5F_C10C;

/// A card under power.
pub(crate) struct Card<'a, 'power> {
    pub(crate) kind: Kind,
    pub(crate) applet: Applet<'power>,
    pub(crate) memory: &'a mut Memory,
    pub(crate) session: &'a mut Session,
    pub(crate) control: &'a Control,
    pub(crate) ending: Option<Ending>,
    exchange: Exchange,
    used: bool,
}

impl<'a, 'power> Card<'a, 'power> {
    pub(crate) fn new(
        kind: Kind,
        mut applet: Applet<'power>,
        memory: &'a mut Memory,
        session: &'a mut Session,
        control: &'a Control,
    ) -> Self {
        session.restore(&mut applet);
        let used = session.selected;
        Self { kind, applet, memory, session, control, ending: None, exchange: Exchange::default(), used }
    }

    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut exchange = std::mem::take(&mut self.exchange);
        let answer = exchange.take(bytes, |command| self.perform(command));
        self.exchange = exchange;
        answer
    }

    fn perform(&mut self, command: &Command) -> Answer {
        self.used = true;
        let just_verified = std::mem::take(&mut self.session.just_verified);
        let answer = if command.instruction == SELECT {
            self.select(command)
        } else if !self.session.selected {
            only(UNKNOWN_INSTRUCTION)
        } else {
            match self.kind {
                Kind::Moves => self.as_yubikey(command, just_verified),
                Kind::Strict if command.instruction >= FIRST_PRIVATE || command.instruction == 0x01 => {
                    only(UNKNOWN_INSTRUCTION)
                }
                Kind::Strict if command.instruction == GENERATE && (0x82..=0x95).contains(&command.p2) => {
                    only(WRONG_PARAMETERS)
                }
                Kind::Generates | Kind::Strict => self.plainly(command),
            }
        };
        if answer.1 == OK {
            let private_key = command.instruction == GENERAL_AUTHENTICATE && command.p2 != 0x9B;
            self.control.note_success(command.instruction, private_key);
        }
        answer
    }

    fn select(&mut self, command: &Command) -> Answer {
        let ours = command.data.len() >= SHORTEST_AID && AID.starts_with(&command.data);
        if command.p1 != 0x04 || !ours {
            return only(NOT_FOUND);
        }
        self.session.selected = true;
        if self.kind == Kind::Moves {
            return (yubikey::PROPERTIES.to_vec(), OK);
        }
        self.applet.perform(&Command { p2: 0, data: AID.to_vec(), ..command.clone() })
    }

    /// The applet as it is, but for Key History, which it computes and would not take.
    fn plainly(&mut self, command: &Command) -> Answer {
        let tag = tlv::find(&command.data, 0x5C).map(tag_number);
        match (command.instruction, tag) {
            (GET_DATA, Some(KEY_HISTORY)) => self.remembered(KEY_HISTORY),
            (PUT_DATA, Some(KEY_HISTORY)) => {
                let answer = self.applet.perform(command);
                if answer.1 == OK {
                    let value = tlv::find(&command.data, 0x53).unwrap_or_default();
                    self.memory.objects.insert(KEY_HISTORY, Octets(value.to_vec()));
                    self.memory.save();
                }
                answer
            }
            _ => {
                let answer = self.applet.perform(command);
                if command.instruction == 0xFB && answer.1 == OK {
                    self.forget_everything();
                }
                answer
            }
        }
    }

    /// An object as it was written.
    pub(crate) fn remembered(&self, tag: u32) -> Answer {
        match self.memory.objects.get(&tag) {
            Some(value) => (tlv::object(&[0x53], &value.0), OK),
            None => only(NOT_FOUND),
        }
    }

    /// After a factory reset of the applet.
    pub(crate) fn forget_everything(&mut self) {
        self.memory.reset();
        let selected = self.session.selected;
        *self.session = Session { selected, ..Session::default() };
        self.ending = Some(Ending::Files);
    }
}

/// The number of an object, of one to three bytes.
pub(crate) fn tag_number(tag: &[u8]) -> u32 {
    tag.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

impl Powered for Card<'_, '_> {
    /// A card that nobody spoke to has nothing to forget.
    fn lose_power(&mut self) {
        if self.used {
            self.ending = Some(Ending::Power);
        }
    }

    fn ending(&self) -> Option<Ending> {
        self.ending
    }
}

impl vpicc::VSmartCard for Card<'_, '_> {
    fn atr(&self) -> &[u8] {
        self.kind.atr()
    }

    fn power_on(&mut self) {
        self.control.note_event("power on");
        self.lose_power();
    }

    fn power_off(&mut self) {
        self.control.note_event("power off");
        self.lose_power();
    }

    fn reset(&mut self) {
        self.control.note_event("reset");
        self.lose_power();
    }

    fn execute(&mut self, bytes: &[u8]) -> Vec<u8> {
        let answer = match self.control.next() {
            None => self.take(bytes),
            Some(fault) => {
                if fault.after {
                    self.take(bytes);
                }
                fault.effect.strike(self.control)
            }
        };
        self.control.note_exchange(bytes, &answer);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_atr_ends_with_its_checksum() {
        for kind in [Kind::Moves, Kind::Generates, Kind::Strict] {
            let [_, rest @ ..] = kind.atr() else { unreachable!() };
            assert_eq!(rest.iter().fold(0, |sum, byte| sum ^ byte), 0, "{kind:?} {:02X?}", kind.atr());
            assert_eq!(
                usize::from(kind.atr()[1] & 0x0F),
                match kind {
                    Kind::Moves => 13,
                    Kind::Generates => 15,
                    Kind::Strict => 5,
                }
            );
        }
    }
}
