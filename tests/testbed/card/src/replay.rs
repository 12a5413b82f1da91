//! A card that is nothing but a transcript: it answers what was answered then, as long as it is asked what was asked then, in the
//! same order. Bytes that the transcript blanked match anything, and are zero in answers.

use std::fs;
use std::io;
use std::path::Path;

use vpicc::VSmartCard;

use crate::card::Ending;
use crate::control::Control;
use crate::line::Powered;

/// What it answers when it is asked something else.
const STRANGE: [u8; 2] = [0x6F, 0x00];

/// A transcript in the place of a card.
pub(crate) struct Replay<'a> {
    atr: Vec<u8>,
    exchanges: Vec<Exchange>,
    control: &'a Control,
}

struct Exchange {
    /// Nothing where a byte was blanked.
    command: Vec<Option<u8>>,
    answer: Vec<u8>,
}

impl<'a> Replay<'a> {
    /// Reads a transcript, which must tell its ATR.
    pub(crate) fn open(file: &Path, control: &'a Control) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let wrong = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not a line of a transcript: {line}"));
        let (mut atr, mut exchanges) = (None, Vec::new());
        let mut command = None;
        for line in text.lines() {
            match line.split_at_checked(2) {
                Some(("! ", event)) => {
                    if let Some(bytes) = event.strip_prefix("atr ") {
                        atr = Some(hex::decode(bytes).map_err(|_| wrong(line))?);
                    }
                }
                Some(("> ", bytes)) => command = Some(parse(bytes).ok_or_else(|| wrong(line))?),
                Some(("< ", bytes)) => {
                    let answer = parse(bytes).ok_or_else(|| wrong(line))?.into_iter().map(Option::unwrap_or_default).collect();
                    exchanges.push(Exchange { command: command.take().ok_or_else(|| wrong(line))?, answer });
                }
                _ => return Err(wrong(line)),
            }
        }
        let atr = atr.ok_or_else(|| wrong("! atr"))?;
        control.note_replay(0, exchanges.len(), None);
        Ok(Self { atr, exchanges, control })
    }
}

fn parse(text: &str) -> Option<Vec<Option<u8>>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if pair == b".." { Some(None) } else { Some(Some(*hex::decode(pair).ok()?.first()?)) }).collect()
}

impl VSmartCard for Replay<'_> {
    fn atr(&self) -> &[u8] {
        &self.atr
    }

    fn execute(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (done, of, strange) = self.control.replay();
        let same = |exchange: &&Exchange| {
            exchange.command.len() == bytes.len()
                && exchange.command.iter().zip(bytes).all(|(then, now)| then.is_none_or(|then| then == *now))
        };
        let expected = self.exchanges.get(done).filter(|_| strange.is_none()).filter(same);
        let Some(Exchange { answer, .. }) = expected else {
            let first = strange.unwrap_or_else(|| hex::encode_upper(bytes));
            self.control.note_replay(done, of, Some(first));
            return STRANGE.to_vec();
        };
        self.control.note_replay(done + 1, of, None);
        if answer.is_empty() {
            // It was pulled then.
            self.control.pull(false);
        }
        answer.clone()
    }
}

impl Powered for Replay<'_> {
    fn lose_power(&mut self) {}

    fn ending(&self) -> Option<Ending> {
        None
    }
}
