//! Commands and answers as they cross the line (ISO 7816-4): parsing, command chaining, and answers in pieces. Knows no
//! command's meaning.

/// A status word, as ISO 7816-4 and SP 800-73-4 give it meaning.
pub(crate) type Status = u16;

/// Everything went well.
pub(crate) const OK: Status = 0x9000;
/// The length of a command is wrong.
pub(crate) const WRONG_LENGTH: Status = 0x6700;
/// The last command of a chain was expected.
pub(crate) const LAST_OF_CHAIN_EXPECTED: Status = 0x6883;
/// PIN, management key or touch is lacking.
pub(crate) const SECURITY: Status = 0x6982;
/// PIN or PUK is blocked.
pub(crate) const BLOCKED: Status = 0x6983;
/// Not now.
pub(crate) const CONDITIONS: Status = 0x6985;
/// The data field is wrong.
pub(crate) const WRONG_DATA: Status = 0x6A80;
/// No such object or application.
pub(crate) const NOT_FOUND: Status = 0x6A82;
/// No room.
pub(crate) const NO_SPACE: Status = 0x6A84;
/// P1 or P2 is wrong.
pub(crate) const WRONG_PARAMETERS: Status = 0x6A86;
/// No such key.
pub(crate) const REFERENCE_NOT_FOUND: Status = 0x6A88;
/// No such slot, as a YubiKey says it.
pub(crate) const WRONG_SLOT: Status = 0x6B00;
/// No such instruction.
pub(crate) const UNKNOWN_INSTRUCTION: Status = 0x6D00;

/// What a card says: data, or nothing, and a status word.
pub(crate) type Answer = (Vec<u8>, Status);

/// An answer without data.
pub(crate) fn only(status: Status) -> Answer {
    (Vec::new(), status)
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// CLA; bit 5 says that more of it follows.
    pub(crate) class: u8,
    /// INS.
    pub(crate) instruction: u8,
    /// P1.
    pub(crate) p1: u8,
    /// P2.
    pub(crate) p2: u8,
    /// The data field.
    pub(crate) data: Vec<u8>,
    /// How many bytes may be answered at once. Without Le it is as many as fit: the readers of real cards fetch them too.
    pub(crate) expected: usize,
}

impl Command {
    /// Parses one APDU, short or extended.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let [class, instruction, p1, p2, ref body @ ..] = *bytes else { return Err(WRONG_LENGTH) };
        let (data, expected) = match *body {
            [] => (&[][..], 256),
            [le] => (&[][..], length_or(le.into(), 256)),
            [0, high, low] => (&[][..], length_or(u16::from_be_bytes([high, low]), 65536)),
            [0, high, low, ref rest @ ..] => {
                let (data, le) = rest.split_at_checked(u16::from_be_bytes([high, low]).into()).ok_or(WRONG_LENGTH)?;
                match *le {
                    [] => (data, 65536),
                    [high, low] => (data, length_or(u16::from_be_bytes([high, low]), 65536)),
                    _ => return Err(WRONG_LENGTH),
                }
            }
            [length, ref rest @ ..] => {
                let (data, le) = rest.split_at_checked(length.into()).ok_or(WRONG_LENGTH)?;
                match *le {
                    [] => (data, 256),
                    [le] => (data, length_or(le.into(), 256)),
                    _ => return Err(WRONG_LENGTH),
                }
            }
        };
        Ok(Self { class, instruction, p1, p2, data: data.to_vec(), expected })
    }

    /// The same command for another key.
    pub(crate) fn with_p2(&self, p2: u8) -> Self {
        Self { p2, ..self.clone() }
    }

    fn more_follows(&self) -> bool {
        self.class & CHAINED != 0
    }

    fn continues(&self, earlier: &Self) -> bool {
        let head = |command: &Self| (command.class & !CHAINED, command.instruction, command.p1, command.p2);
        head(self) == head(earlier)
    }
}

const CHAINED: u8 = 0x10;
const GET_RESPONSE: u8 = 0xC0;

/// Longer commands are refused: the longest real one is an object of 3 kB.
const LONGEST: usize = 7609;

fn length_or(length: u16, all: usize) -> usize {
    if length == 0 { all } else { length.into() }
}

/// What is under way across several APDUs.
#[derive(Default)]
pub(crate) struct Exchange {
    begun: Option<Command>,
    rest: Vec<u8>,
}

impl Exchange {
    /// Takes one APDU; performs the command that it completes, if it does; gives what goes back.
    pub(crate) fn take(&mut self, bytes: &[u8], perform: impl FnOnce(&Command) -> Answer) -> Vec<u8> {
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(status) => return status.to_be_bytes().to_vec(),
        };
        if command.instruction == GET_RESPONSE && command.class == 0 && self.begun.is_none() {
            return self.piece(command.expected, OK);
        }
        self.rest.clear();
        let command = match self.begun.take() {
            None => command,
            Some(mut begun) if command.continues(&begun) => {
                begun.data.extend_from_slice(&command.data);
                Command { data: begun.data, ..command }
            }
            Some(_) => return LAST_OF_CHAIN_EXPECTED.to_be_bytes().to_vec(),
        };
        if command.data.len() > LONGEST {
            return WRONG_LENGTH.to_be_bytes().to_vec();
        }
        if command.more_follows() {
            self.begun = Some(command);
            return OK.to_be_bytes().to_vec();
        }
        let (data, status) = perform(&command);
        self.rest = data;
        self.piece(command.expected, status)
    }

    fn piece(&mut self, expected: usize, status: Status) -> Vec<u8> {
        let after = self.rest.split_off(expected.min(self.rest.len()));
        let mut piece = std::mem::replace(&mut self.rest, after);
        let status = match self.rest.len() {
            0 => status,
            left => 0x6100 | u8::try_from(left).map_or(0, u16::from),
        };
        piece.extend_from_slice(&status.to_be_bytes());
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_every_shape_are_read() {
        let read = |bytes: &[u8]| Command::parse(bytes).map(|command| (command.data, command.expected));
        assert_eq!(read(&[0, 0x20, 0, 0x80]), Ok((vec![], 256)));
        assert_eq!(read(&[0, 0xFD, 0, 0, 0]), Ok((vec![], 256)));
        assert_eq!(read(&[0, 0xFD, 0, 0, 3]), Ok((vec![], 3)));
        assert_eq!(read(&[0, 0x20, 0, 0x80, 2, 1, 2]), Ok((vec![1, 2], 256)));
        assert_eq!(read(&[0, 0x20, 0, 0x80, 2, 1, 2, 7]), Ok((vec![1, 2], 7)));
        assert_eq!(read(&[0, 0x20, 0, 0x80, 0, 0, 2, 1, 2]), Ok((vec![1, 2], 65536)));
        assert_eq!(read(&[0, 0x20, 0, 0x80, 0, 0, 2, 1, 2, 1, 0]), Ok((vec![1, 2], 256)));
        assert_eq!(read(&[0, 0x20, 0, 0x80, 2, 1]), Err(WRONG_LENGTH));
        assert_eq!(read(&[0, 0x20, 0]), Err(WRONG_LENGTH));
    }

    #[test]
    fn long_commands_and_answers_go_in_pieces() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.take(&[0x10, 0xDB, 0x3F, 0xFF, 2, 1, 2], |_| unreachable!()), [0x90, 0]);
        let first = exchange.take(&[0, 0xDB, 0x3F, 0xFF, 1, 3, 0], |command| {
            assert_eq!((command.class, command.data.as_slice()), (0, [1, 2, 3].as_slice()));
            (vec![9; 600], OK)
        });
        assert_eq!((first.len(), &first[256..]), (258, [0x61, 0].as_slice()));
        let second = exchange.take(&[0, 0xC0, 0, 0, 0], |_| unreachable!());
        assert_eq!(&second[256..], [0x61, 88]);
        let third = exchange.take(&[0, 0xC0, 0, 0, 88], |_| unreachable!());
        assert_eq!((third.len(), &third[88..]), (90, [0x90, 0].as_slice()));
    }

    #[test]
    fn another_command_breaks_a_chain() {
        let mut exchange = Exchange::default();
        exchange.take(&[0x10, 0xDB, 0x3F, 0xFF, 1, 1], |_| unreachable!());
        assert_eq!(exchange.take(&[0, 0x20, 0, 0x80], |_| unreachable!()), [0x68, 0x83]);
        assert_eq!(exchange.take(&[0, 0x20, 0, 0x80], |_| only(0x63C3)), [0x63, 0xC3]);
    }
}
