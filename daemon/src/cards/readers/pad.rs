//! PIN pads: readers on which a PIN is typed, so that it never reaches this machine (PC/SC part 10, revision 2.02.09).

use pcsc::{Card, ctl_code};
use zeroize::Zeroizing;

use super::transaction::during;
use crate::cards::piv::TransportError;

/// `CM_IOCTL_GET_FEATURE_REQUEST` (2.2).
const GET_FEATURES: u32 = 3400;

/// `FEATURE_VERIFY_PIN_DIRECT` (2.3).
const VERIFY_PIN_DIRECT: u8 = 0x06;

/// Where a pad's VERIFY is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pad {
    control: u32,
}

impl Pad {
    /// The pad of the card's reader, if it has one.
    pub(super) fn of(card: &Card) -> Option<Self> {
        let mut features = [0; 512];
        let features = card.control(ctl_code(GET_FEATURES.into()), &[], &mut features).ok()?;
        Self::parse(features)
    }

    /// From the reader's list of features: tag, length 4, control code in network order (2.2).
    fn parse(features: &[u8]) -> Option<Self> {
        let control = features.chunks_exact(6).find_map(|feature| match *feature {
            [VERIFY_PIN_DIRECT, 4, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        })?;
        Some(Self { control })
    }

    /// Has the PIN typed and verified. Returns the status word.
    pub(super) fn verify(self, card: &Card, verify: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let mut answer = [0; 64];
        let answer = card.control(self.control.into(), &structure(verify), &mut answer).map_err(during)?;
        Ok(Zeroizing::new(answer.to_vec()))
    }
}

/// `PIN_VERIFY_STRUCTURE` (2.5.2), in the host's byte order, for an ASCII PIN of 6 to 8 characters, left-justified in a block of
/// 8 bytes that stands at the beginning of the command's data field.
fn structure(verify: &[u8; 13]) -> Vec<u8> {
    let mut bytes = vec![
        0,    // bTimerOut: the reader's own
        0,    // bTimerOut2: the same after the first key
        0x82, // bmFormatString: bytes, at position 0, left-justified, ASCII
        0x08, // bmPINBlockString: a block of 8 bytes, without a length in it
        0x00, // bmPINLengthFormat: no length is inserted
    ];
    // wPINMaxExtraDigit: the fewest in the high byte, the most in the low one.
    bytes.extend_from_slice(&0x0608_u16.to_ne_bytes());
    bytes.push(0x02); // bEntryValidationCondition: the key that confirms was pressed
    bytes.push(0x01); // bNumberMessage: one
    bytes.extend_from_slice(&0x0409_u16.to_ne_bytes()); // wLangId: English, which every reader has
    bytes.push(0x00); // bMsgIndex: "enter the PIN"
    bytes.extend_from_slice(&[0; 3]); // bTeoPrologue: for T=1 readers that want it, nothing special
    bytes.extend_from_slice(&13_u32.to_ne_bytes()); // ulDataLength
    bytes.extend_from_slice(verify);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_is_found_among_others() {
        let features = [0x07, 4, 0x42, 0, 0x0D, 0x49, 0x06, 4, 0x42, 0x33, 0, 0x06, 0x12, 4, 0x42, 0x33, 0, 0x12];
        assert_eq!(Pad::parse(&features), Some(Pad { control: 0x4233_0006 }));
        assert_eq!(Pad::parse(&features[..6]), None);
        assert_eq!(Pad::parse(&features[..11]), None, "cut short");
        assert_eq!(Pad::parse(&[]), None);
        assert_eq!(Pad::parse(&[0x06, 3, 1, 2, 3, 4]), None);
    }

    /// Byte by byte against the table of 2.5.2.
    #[test]
    fn the_structure_is_the_standards() {
        let verify = [0, 0x20, 0, 0x80, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        let bytes = structure(&verify);
        assert_eq!(bytes.len(), 19 + 13);
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(bytes[..5], [0, 0, 0x82, 0x08, 0x00]);
        assert_eq!((word(5) >> 8, word(5) & 0xFF), (6, 8));
        assert_eq!((bytes[7], bytes[8], word(9), bytes[11]), (0x02, 1, 0x0409, 0));
        assert_eq!(u32::from_ne_bytes([bytes[15], bytes[16], bytes[17], bytes[18]]), 13);
        assert_eq!(bytes[19..], verify);
    }
}
