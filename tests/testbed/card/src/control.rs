//! How a test holds the card in its hand: a socket that takes a line and answers a line, and what both sides share. Removal,
//! insertion, faults, counts, touch and transcripts; nothing of the card itself.
//!
//! | line | answer |
//! |---|---|
//! | `insert`, `remove`, `exit` | `ok` |
//! | `connected` | `yes` when vpcd holds the line, else `no` |
//! | `count`, `reset-count` | APDUs since the last reset, `ok` |
//! | `at N FAULT`, `from N FAULT`, `clear` | `ok`; see [`Fault::parse`] |
//! | `fired` | how many faults have struck since the last reset |
//! | `executed` | `47=2 87=10 sign=8`: commands that ever succeeded, by instruction, and uses of private keys |
//! | `record FILE`, `record off` | `ok` |
//! | `replayed` | `3 7`: of seven commands three were as in the transcript; and the first that was not |
//! | `touch` | `ok` when a command waited for it, else `error` |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::faults::{Effect, Fault};
use crate::memory;
use crate::transcript::Transcript;

/// For so long a key that wants a touch waits for one, as a YubiKey does.
const TOUCH_PATIENCE: Duration = Duration::from_secs(15);

/// What the card and whoever holds it share.
pub(crate) struct Control {
    shared: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    inserted: bool,
    ended: bool,
    line: Option<TcpStream>,
    seen: u64,
    fired: u64,
    faults: Vec<Fault>,
    executed: Executed,
    transcript: Option<Transcript>,
    atr: Vec<u8>,
    /// How many commands were as in a transcript, of how many, and the first that was not.
    replay: (usize, usize, Option<String>),
    touch: Touch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Unwanted,
    Wanted,
    Given,
}

/// Commands that succeeded, counted for the life of the card.
struct Executed {
    file: PathBuf,
    counts: BTreeMap<String, u64>,
}

impl Control {
    /// With the counts of the card whose state is in this directory, and its ATR.
    pub(crate) fn new(directory: &Path, atr: &[u8]) -> Self {
        let shared = Shared {
            inserted: true,
            ended: false,
            line: None,
            seen: 0,
            fired: 0,
            faults: Vec::new(),
            executed: Executed::open(directory.join("executed.json")),
            transcript: None,
            atr: atr.to_vec(),
            replay: (0, 0, None),
            touch: Touch::Unwanted,
        };
        Self { shared: Mutex::new(shared), changed: Condvar::new() }
    }

    /// Serves a socket at this path, as long as the program lives.
    pub(crate) fn serve(self: &Arc<Self>, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let control = Arc::clone(self);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let control = Arc::clone(&control);
                thread::spawn(move || control.converse(&client));
            }
        });
        Ok(())
    }

    // --- for the card ---

    /// Waits until the card is inserted; false when the program is to end.
    pub(crate) fn inserted(&self) -> bool {
        let shared = self.shared();
        let shared = self.changed.wait_while(shared, |shared| !shared.inserted && !shared.ended);
        !shared.unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Whether the card is inserted now.
    pub(crate) fn is_inserted(&self) -> bool {
        let shared = self.shared();
        shared.inserted && !shared.ended
    }

    /// Holds the line, so that it can be cut; false when the card is no longer inserted.
    pub(crate) fn hold(&self, line: TcpStream) -> bool {
        let mut shared = self.shared();
        let inserted = shared.inserted && !shared.ended;
        shared.line = inserted.then_some(line);
        inserted
    }

    /// The line was cut from the other side, or by [`Self::pull`].
    pub(crate) fn release(&self) {
        self.shared().line = None;
    }

    /// Counts a command, and tells what is to go wrong with it.
    pub(crate) fn next(&self) -> Option<Fault> {
        let mut shared = self.shared();
        shared.seen += 1;
        let number = shared.seen;
        let fault = shared.faults.iter().find(|fault| fault.strikes(number)).cloned();
        shared.fired += u64::from(fault.is_some());
        fault
    }

    /// Cuts the line: pulled, or for good.
    pub(crate) fn pull(&self, for_good: bool) {
        let mut shared = self.shared();
        shared.inserted = false;
        shared.ended |= for_good;
        if let Some(line) = shared.line.take() {
            // It may have been cut from the other side already.
            drop(line.shutdown(Shutdown::Both));
        }
        shared.note_event("removed");
        self.changed.notify_all();
    }

    /// Notes what crossed the line.
    pub(crate) fn note_exchange(&self, command: &[u8], answer: &[u8]) {
        if let Some(transcript) = &mut self.shared().transcript {
            transcript.exchange(command, answer);
        }
    }

    /// Notes how far a transcript was followed.
    pub(crate) fn note_replay(&self, done: usize, of: usize, strange: Option<String>) {
        self.shared().replay = (done, of, strange);
    }

    /// How far it was.
    pub(crate) fn replay(&self) -> (usize, usize, Option<String>) {
        self.shared().replay.clone()
    }

    /// Notes what happened otherwise.
    pub(crate) fn note_event(&self, what: &str) {
        self.shared().note_event(what);
    }

    /// Counts a command that succeeded.
    pub(crate) fn note_success(&self, instruction: u8, private_key: bool) {
        let mut shared = self.shared();
        shared.executed.count(format!("{instruction:02X}"));
        if private_key {
            shared.executed.count("sign".to_owned());
        }
        shared.executed.save();
    }

    /// Waits for a touch; false when none comes.
    pub(crate) fn touched(&self) -> bool {
        let mut shared = self.shared();
        shared.touch = Touch::Wanted;
        let waiting = |shared: &mut Shared| shared.touch == Touch::Wanted && shared.inserted && !shared.ended;
        let waited = self.changed.wait_timeout_while(shared, TOUCH_PATIENCE, waiting);
        let (mut shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut shared.touch, Touch::Unwanted) == Touch::Given
    }

    // --- for whoever holds the card ---

    fn converse(&self, client: &UnixStream) {
        for line in BufReader::new(client).lines() {
            let Ok(line) = line else { return };
            let answer = self.obey(&line).unwrap_or_else(|| format!("error: {line}"));
            let mut client = client;
            if writeln!(client, "{answer}").is_err() {
                return;
            }
        }
    }

    fn obey(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["insert"] => {
                self.shared().inserted = true;
                self.changed.notify_all();
            }
            ["remove"] => self.pull(false),
            ["exit"] => self.pull(true),
            ["connected"] => return Some(if self.shared().line.is_some() { "yes" } else { "no" }.to_owned()),
            ["count"] => return Some(self.shared().seen.to_string()),
            ["fired"] => return Some(self.shared().fired.to_string()),
            ["reset-count"] => {
                let mut shared = self.shared();
                (shared.seen, shared.fired) = (0, 0);
            }
            ["at", words @ ..] => self.shared().faults.push(Fault::parse(false, words)?),
            ["from", words @ ..] => self.shared().faults.push(Fault::parse(true, words)?),
            ["clear"] => self.shared().faults.clear(),
            ["replayed"] => {
                let (done, of, strange) = self.replay();
                return Some(format!("{done} {of} {}", strange.unwrap_or_default()).trim_end().to_owned());
            }
            ["executed"] => return Some(self.shared().executed.list()),
            ["record", "off"] => self.shared().transcript = None,
            ["record", ..] => {
                let path = Path::new(line.trim_start().strip_prefix("record")?.trim());
                let mut shared = self.shared();
                let atr = hex::encode_upper(&shared.atr);
                shared.transcript = Some(Transcript::create(path).ok()?);
                shared.note_event(&format!("atr {atr}"));
            }
            ["touch"] => {
                let mut shared = self.shared();
                if shared.touch != Touch::Wanted {
                    return None;
                }
                shared.touch = Touch::Given;
                self.changed.notify_all();
            }
            _ => return None,
        }
        Some("ok".to_owned())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn note_event(&mut self, what: &str) {
        if let Some(transcript) = &mut self.transcript {
            transcript.event(what);
        }
    }
}

impl Executed {
    fn open(file: PathBuf) -> Self {
        let counts = fs::read(&file).ok().map(|text| serde_json::from_slice(&text).expect("counts that this card wrote"));
        Self { file, counts: counts.unwrap_or_default() }
    }

    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn save(&self) {
        memory::replace(&self.file, &serde_json::to_vec(&self.counts).expect("it is all text"));
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for (what, count) in &self.counts {
            let space = if list.is_empty() { "" } else { " " };
            write!(list, "{space}{what}={count}").expect("written to memory");
        }
        list
    }
}

impl Effect {
    /// What goes over the line in place of the answer; nothing where it is cut.
    pub(crate) fn strike(self, control: &Control) -> Vec<u8> {
        match self {
            Self::Remove => control.pull(false),
            Self::Exit => control.pull(true),
            Self::Answer(bytes) => return bytes,
        }
        Vec::new()
    }
}
