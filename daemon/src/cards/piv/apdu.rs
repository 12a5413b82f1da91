//! One command and its whole answer, in as many pieces as the card wants (ISO 7816-4, 5.1.1): command chaining, GET RESPONSE,
//! a corrected Le. Knows no command's meaning. What comes back is bounded in size and in pieces.

use iso7816::Status;
use iso7816::command::{CommandBuilder, class::Class};
use zeroize::Zeroizing;

use super::Transmit;
use crate::cards::step::CardError;

/// Longer answers are refused. The longest real one is a certificate.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An answer in more pieces is refused: at 256 bytes each, these hold the longest.
const MOST_PIECES: usize = 256;

/// Longer commands are not sent: no card has room for such an object.
const LONGEST_COMMAND: usize = 32 * 1024;

const GET_RESPONSE: u8 = 0xC0;

/// A command of class 0.
pub(super) struct Command<'data> {
    /// INS.
    pub(super) instruction: u8,
    /// P1.
    pub(super) p1: u8,
    /// P2.
    pub(super) p2: u8,
    /// The data field.
    pub(super) data: &'data [u8],
    /// Whether data may come back.
    pub(super) answers: bool,
}

/// What the card says: data and a status word.
pub(super) struct Answer {
    /// All pieces together.
    pub(super) data: Zeroizing<Vec<u8>>,
    /// The last piece's.
    pub(super) status: Status,
}

impl Answer {
    /// Whether it was done; or else refused, which is an answer too: the card does not know this command, reference or object,
    /// or not in this state (`67`, `68`, `69`, `6A`, `6B`, `6D`, `6E`). Anything else is a mishap, from which nothing follows.
    pub(super) fn is_done(&self, what: &str) -> Result<bool, CardError> {
        match u16::from(self.status) {
            0x9000 => Ok(true),
            0x6700..=0x6BFF | 0x6D00..=0x6EFF => Ok(false),
            _ => Err(refused(what, self.status)),
        }
    }
}

/// An answer that says no more than that it was not done.
pub(super) fn refused(what: &str, status: Status) -> CardError {
    CardError::Failed { detail: format!("{what}: status {:04x}", u16::from(status)) }
}

/// Performs a command.
pub(super) fn exchange<C: Transmit>(card: &mut C, command: &Command<'_>) -> Result<Answer, CardError> {
    let Command { instruction, p1, p2, data, answers } = *command;
    if data.len() > LONGEST_COMMAND {
        return Err(CardError::Full {});
    }
    let class = Class::from_byte(0).map_err(|_| CardError::Failed { detail: "class 0 is none".to_owned() })?;
    let le = if answers { 256 } else { 0 };
    let mut pieces = CommandBuilder::new_non_extended(class, instruction.into(), p1, p2, data, le, None).peekable();
    while let Some(piece) = pieces.next() {
        let bytes = Zeroizing::new(piece.serialize_to_vec());
        let answer = with_right_length(card, &bytes)?;
        if pieces.peek().is_none() {
            return collect(card, answer);
        }
        if answer.status != Status::Success {
            return Ok(answer);
        }
    }
    Err(CardError::Failed { detail: "a command without pieces".to_owned() })
}

/// Once more with the length that the card wants, if it wants one.
fn with_right_length<C: Transmit>(card: &mut C, bytes: &[u8]) -> Result<Answer, CardError> {
    let answer = once(card, bytes)?;
    let Status::WrongLeField(length) = answer.status else { return Ok(answer) };
    let body = if bytes.len() > 5 { 5 + usize::from(bytes[4]) } else { 4 };
    let mut again = Zeroizing::new(bytes[..body.min(bytes.len())].to_vec());
    again.push(length);
    once(card, &again)
}

fn collect<C: Transmit>(card: &mut C, mut answer: Answer) -> Result<Answer, CardError> {
    for _ in 0..MOST_PIECES {
        let Status::MoreAvailable(length) = answer.status else { return Ok(answer) };
        let piece = once(card, &[0, GET_RESPONSE, 0, 0, length])?;
        if piece.data.is_empty() && matches!(piece.status, Status::MoreAvailable(_)) {
            return Err(CardError::Failed { detail: "an answer that does not go on".to_owned() });
        }
        answer = Answer { data: super::tlv::joined(&[&answer.data, &piece.data]), status: piece.status };
        if answer.data.len() > LONGEST_ANSWER {
            break;
        }
    }
    Err(CardError::Failed { detail: "an answer that does not end".to_owned() })
}

fn once<C: Transmit>(card: &mut C, bytes: &[u8]) -> Result<Answer, CardError> {
    let mut data = card.transmit(bytes)?;
    let Some([high, low]) = data.last_chunk().copied() else {
        return Err(CardError::Failed { detail: "an answer without status".to_owned() });
    };
    let length = data.len() - 2;
    if length > LONGEST_ANSWER {
        return Err(CardError::Failed { detail: "an answer too long".to_owned() });
    }
    data.truncate(length);
    Ok(Answer { data, status: Status::from(u16::from_be_bytes([high, low])) })
}
