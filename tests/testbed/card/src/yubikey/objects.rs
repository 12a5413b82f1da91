//! Data objects: kept as they were written, deleted by writing nothing.

use crate::apdu::{Answer, Command, NO_SPACE, OK, SECURITY, WRONG_DATA, only};
use crate::card::{Card, tag_number};
use crate::memory::Octets;
use crate::tlv;

const DISCOVERY: u32 = 0x7E;
/// Made with the card, unless replaced: capabilities, and the unique identifier that others tell the card by.
const MADE_WITH_THE_CARD: [u32; 2] = [0x5F_C107, 0x5F_C102];
/// Read only after the PIN: fingerprints, printed information (where a management key may be kept), face, iris.
const AFTER_PIN: [u32; 4] = [0x5F_C103, 0x5F_C109, 0x5F_C108, 0x5F_C121];

/// AID, and that only the card's own PIN is used.
const DISCOVERED: &[u8] = b"\x7E\x12\x4F\x0B\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00\x5F\x2F\x02\x40\x00";

/// One object, and all of them together, in bytes.
const LARGEST: usize = 3052;
const ROOM: usize = 51_200;

/// The standard's objects, and the range that `ykman` and others use for their own.
fn is_object(tag: u32) -> bool {
    matches!(tag, 0x5F_C101..=0x5F_C123 | 0x5F_FF00..=0x5F_FFFF)
}

impl Card<'_, '_> {
    pub(super) fn get_data(&mut self, command: &Command) -> Answer {
        let Some(tag) = tlv::find(&command.data, 0x5C).map(tag_number) else { return only(WRONG_DATA) };
        if tag == DISCOVERY {
            return (DISCOVERED.to_vec(), OK);
        }
        if AFTER_PIN.contains(&tag) && self.session.pin.is_none() {
            return only(SECURITY);
        }
        if MADE_WITH_THE_CARD.contains(&tag) && !self.memory.objects.contains_key(&tag) {
            return self.applet.perform(command);
        }
        self.remembered(tag)
    }

    pub(super) fn put_data(&mut self, command: &Command) -> Answer {
        if !self.session.administrator {
            return only(SECURITY);
        }
        let tag = tlv::find(&command.data, 0x5C).map(tag_number).filter(|tag| is_object(*tag));
        let (Some(tag), Some(value)) = (tag, tlv::find(&command.data, 0x53)) else { return only(WRONG_DATA) };
        let others = self.memory.objects.iter().filter(|(other, _)| **other != tag);
        if value.len() > LARGEST || others.map(|(_, value)| value.0.len()).sum::<usize>() + value.len() > ROOM {
            return only(NO_SPACE);
        }
        if value.is_empty() {
            self.memory.objects.remove(&tag);
        } else {
            self.memory.objects.insert(tag, Octets(value.to_vec()));
        }
        self.memory.save();
        only(OK)
    }
}
