//! Transcripts of what crossed the line, as lines of hex: `> command`, `< answer`, `! event`, the first of which is the ATR. Bytes that are secret are written
//! as `..`: PINs, PUKs, management keys and what is exchanged to prove them, private keys from outside, and the PIN-protected
//! object in which a management key may be kept.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::Path;

/// A file that grows with every command.
pub(crate) struct Transcript {
    file: File,
    secrecy: Secrecy,
}

impl Transcript {
    /// Begins a new one.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, secrecy: Secrecy::default() })
    }

    /// Notes a command and its answer.
    pub(crate) fn exchange(&mut self, command: &[u8], answer: &[u8]) {
        let (command, answer) = self.secrecy.blank(command, answer);
        self.line('>', &command);
        self.line('<', &answer);
    }

    /// Notes what happened without a command.
    pub(crate) fn event(&mut self, what: &str) {
        self.line('!', what);
    }

    fn line(&mut self, mark: char, text: &str) {
        writeln!(self.file, "{mark} {text}").expect("the transcript can be written");
    }
}

/// What must be blanked goes on over pieces of commands and answers.
#[derive(Default)]
struct Secrecy {
    object: bool,
    answer: bool,
}

const PROTECTED_OBJECT: &[u8] = &[0x5C, 0x03, 0x5F, 0xC1, 0x09];

impl Secrecy {
    fn blank(&mut self, command: &[u8], answer: &[u8]) -> (String, String) {
        let [class, instruction, _, p2, ..] = *command else { return (hex::encode_upper(command), hex::encode_upper(answer)) };
        let data = data_field(command);
        let names_protected = command[data.clone()].starts_with(PROTECTED_OBJECT);
        let mut blanked = data.end..data.end;
        if instruction != 0xC0 {
            self.answer = false;
        }
        match (instruction, p2) {
            (0x20 | 0x24 | 0x2C | 0xFE | 0xFF, _) => blanked = data,
            (0x87, 0x9B) => {
                blanked = data;
                self.answer = true;
            }
            (0xCB, _) => self.answer = names_protected,
            (0xDB, _) if self.object => blanked = data,
            (0xDB, _) if names_protected => {
                blanked = data.start + PROTECTED_OBJECT.len()..data.end;
                self.object = true;
            }
            _ => {}
        }
        self.object &= class & 0x10 != 0;
        let secret = if self.answer { answer.len().saturating_sub(2) } else { 0 };
        (without(command, &blanked), without(answer, &(0..secret)))
    }
}

/// Where the data of a command is, short or extended; empty where there is none.
fn data_field(command: &[u8]) -> Range<usize> {
    let (start, length) = match *command {
        [_, _, _, _, 0, high, low, _, ..] => (7, u16::from_be_bytes([high, low]).into()),
        [_, _, _, _, length, _, ..] => (5, length.into()),
        _ => (command.len(), 0),
    };
    start..command.len().min(start + length)
}

fn without(bytes: &[u8], blanked: &Range<usize>) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        if blanked.contains(&index) {
            text.push_str("..");
        } else {
            write!(text, "{byte:02X}").expect("written to memory");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_and_nothing_else() {
        let mut secrecy = Secrecy::default();
        let mut blank = |command: &[u8], answer: &[u8]| secrecy.blank(command, answer);
        assert_eq!(blank(b"\x00\x20\x00\x80", b"\x63\xC3").0, "00200080");
        assert_eq!(blank(b"\x00\x20\x00\x80\x02\x31\x32", b"\x90\x00").0, "0020008002....");
        assert_eq!(blank(b"\x00\x20\x00\x80\x02\x31\x32\x00", b"\x90\x00").0, "0020008002....00");
        assert_eq!(blank(b"\x00\x20\x00\x80\x00\x00\x02\x31\x32\x00\x00", b"\x90\x00").0, "00200080000002....0000");
        assert_eq!(blank(b"\x00\xF7\x00\x9A\x00", b"\x01\x01\x07\x90\x00").1, "0101079000");
        assert_eq!(blank(b"\x00\x87\x03\x9B\x02\x7C\x00", b"\x7C\x01\x90\x00"), ("0087039B02....".into(), "....9000".into()));
        assert_eq!(blank(b"\x00\x87\x07\x9A\x02\x7C\x00", b"\x7C\x01\x90\x00").1, "7C019000");
        let protected = b"\x00\xCB\x3F\xFF\x05\x5C\x03\x5F\xC1\x09";
        assert_eq!(blank(protected, b"\x53\x61\x04").1, "..6104");
        assert_eq!(blank(b"\x00\xC0\x00\x00\x04", b"\x05\x90\x00").1, "..9000");
        let written = b"\x10\xDB\x3F\xFF\x06\x5C\x03\x5F\xC1\x09\x53";
        assert_eq!(blank(written, b"\x90\x00").0, "10DB3FFF065C035FC109..");
        assert_eq!(blank(b"\x00\xDB\x3F\xFF\x01\x53", b"\x90\x00").0, "00DB3FFF01..");
        assert_eq!(blank(b"\x00\xDB\x3F\xFF\x01\x53", b"\x90\x00").0, "00DB3FFF0153");
    }
}
