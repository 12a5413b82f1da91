//! A card in software, a reader to put it into, and how it is pulled, counted and made to fail.
//!
//! The card is `testbed/card`, a program of its own; the reader is a pcscd in namespaces of its own (`testbed/reader.sh`), so that
//! tests run side by side. What shall see that reader is started by [`CardReader::command`], [`CardReader::confine`] or
//! [`CardReader::run`]. [`Wire`] speaks with a card without any reader: it makes the card that a test begins with.

pub mod wire;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::{Outcome, PATIENCE, eventually};
pub use wire::{Algorithm, PinPolicy, Reply, Wire};

/// What a card can do with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    /// A YubiKey 5.7: metadata with public keys, and keys that move.
    Moves,
    /// A Nitrokey 3: generates in every slot, also over a key; its metadata is empty and its version a trap.
    Generates,
    /// Plain PIV: generates in 9A, 9C, 9D and 9E alone, and has no commands but the standard's.
    Strict,
}

impl CardKind {
    fn switch(self) -> Option<&'static str> {
        match self {
            Self::Moves => Some("--move-key"),
            Self::Generates => None,
            Self::Strict => Some("--strict"),
        }
    }
}

/// What comes instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The card is pulled.
    Remove,
    /// The program that is the card ends.
    Exit,
    /// This status word.
    Status(u16),
    /// These bytes.
    Answer(Vec<u8>),
    /// The command is performed all the same, and only then this comes instead of its answer.
    After(Box<Fault>),
}

impl Fault {
    /// The same, after the command was performed.
    #[must_use]
    pub fn after(self) -> Self {
        Self::After(Box::new(self))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, when) = match self {
            Self::After(fault) => (&**fault, "-after"),
            fault => (fault, ""),
        };
        match fault {
            Self::Remove => write!(formatter, "remove{when}"),
            Self::Exit => write!(formatter, "exit{when}"),
            Self::Status(status) => write!(formatter, "status{when} {status:04X}"),
            Self::Answer(bytes) => write!(formatter, "answer{when} {}", hex(bytes)),
            Self::After(_) => panic!("a command is performed once"),
        }
    }
}

/// How far a transcript was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// So many commands were as they were then,
    pub done: usize,
    /// of so many.
    pub of: usize,
    /// The first that was not, in hex.
    pub strange: Option<String>,
}

/// Two readers side by side under a pcscd of their own; gone when dropped.
pub struct CardReader {
    directory: TempDir,
    inside: Inside,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _script: Child,
}

impl CardReader {
    /// Starts them; pcscd serves when this returns.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut script = Command::new(testbed("reader.sh"))
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("reader.sh runs");
        let commands = script.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(script.stdout.take().expect("a pipe")).lines();
        let ready = answers.next_line().await.expect("read").expect("reader.sh starts pcscd");
        let process = ready.strip_prefix("READY ").and_then(|process| process.parse().ok()).expect("a process id");
        Self { directory, inside: Inside(process), commands, answers, _script: script }
    }

    /// A directory for the state of a card, which it keeps however often it is pulled.
    pub fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Inserts a card into the first reader; pcscd has seen it when this returns.
    pub async fn insert(&self, kind: CardKind, state: &Path) -> VirtualCard {
        self.insert_into(0, kind, state).await
    }

    /// Inserts a card into the first reader (0) or the second (1).
    pub async fn insert_into(&self, reader: u16, kind: CardKind, state: &Path) -> VirtualCard {
        let mut command = self.beside_driver().await;
        command.args(kind.switch());
        VirtualCard::start(command, state, FIRST_PORT + reader, Some((self.inside, reader))).await
    }

    /// The program that is the card, in the network of the driver.
    async fn beside_driver(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.0.to_string(), "--net", "--"]).arg(card_program().await);
        command
    }

    /// Inserts a transcript that [`VirtualCard::record`] wrote: a card that answers what was answered then, as long as it is asked
    /// what was asked then; `state` is for its counts. [`VirtualCard::replayed`] says how far that went.
    pub async fn replay(&self, transcript: &Path, state: &Path) -> VirtualCard {
        let mut command = self.beside_driver().await;
        command.arg("--replay").arg(transcript);
        VirtualCard::start(command, state, FIRST_PORT, Some((self.inside, 0))).await
    }

    /// A program that sees these readers and no others. It starts in `/`: what needs another directory, or a bare environment, is
    /// for [`CardReader::confine`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.inside.enter(None);
        command.arg(program);
        command
    }

    /// The same command where it sees these readers and no others: with its arguments and its directory, no input, and **only**
    /// those variables that it names. It keeps its process id, and is killed when dropped.
    pub fn confine(&self, command: &Command) -> Command {
        let command = command.as_std();
        let mut confined = self.inside.enter(command.get_current_dir());
        confined.arg(command.get_program()).args(command.get_args());
        confined.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        confined.stdin(Stdio::null()).kill_on_drop(true);
        confined
    }

    /// Runs somebody else's program at these readers, in bounded time, in the directory of [`CardReader::state`].
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        self.run_with(program, arguments, &[]).await
    }

    /// The same with variables.
    pub async fn run_with(&self, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        self.inside.run(Some(self.directory.path()), program, arguments, variables).await
    }

    /// Whether a card is in the first reader and in the second, as pcscd says.
    pub async fn cards(&self) -> [bool; 2] {
        self.inside.cards().await
    }

    /// Ends pcscd, as an upgrade does.
    pub async fn stop_service(&mut self) {
        self.order("stop").await;
    }

    /// Starts it again; it serves when this returns. Cards that are inserted come back by themselves.
    pub async fn start_service(&mut self) {
        self.order("start").await;
    }

    /// What pcscd has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("pcscd.log")).unwrap_or_default()
    }

    async fn order(&mut self, line: &str) {
        self.commands.write_all(format!("{line}\n").as_bytes()).await.expect("told");
        let answer = timeout(PATIENCE, self.answers.next_line()).await.expect("in time").expect("read");
        assert_eq!(answer.as_deref(), Some("ok"), "{}", self.log());
    }
}

/// A card that runs. It is pulled, for good, when dropped.
pub struct VirtualCard {
    process: Child,
    answers: Lines<BufReader<OwnedReadHalf>>,
    commands: OwnedWriteHalf,
    /// Where pcscd sees it, if it does.
    seat: Option<(Inside, u16)>,
}

impl VirtualCard {
    /// Starts the program that is the card, with the switches that it has already.
    async fn start(mut command: Command, state: &Path, port: u16, seat: Option<(Inside, u16)>) -> Self {
        std::fs::create_dir_all(state).expect("a directory");
        let control = state.join("control");
        drop(std::fs::remove_file(&control));
        command.arg("--state").arg(state).arg("--control").arg(&control).args(["--port", &port.to_string()]);
        let process = command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("the card runs");
        let control = eventually("the card's control", async || UnixStream::connect(&control).await.ok()).await;
        let (answers, commands) = control.into_split();
        let card = Self { process, answers: BufReader::new(answers).lines(), commands, seat };
        card.is_seen(true).await;
        card
    }

    /// Pulls it; pcscd has seen that when this returns.
    pub async fn remove(&mut self) {
        self.told("remove").await;
        self.is_seen(false).await;
    }

    /// Inserts it again; pcscd has seen that when this returns.
    pub async fn insert(&mut self) {
        self.told("insert").await;
        self.is_seen(true).await;
    }

    /// Waits until pcscd sees that it is there, or that it is not, for example after [`Fault::Remove`].
    pub async fn is_seen(&self, there: bool) {
        if let Some((inside, reader)) = self.seat {
            let what = if there { "the card in its reader" } else { "the reader without its card" };
            eventually(what, async || (inside.cards().await[usize::from(reader)] == there).then_some(())).await;
        }
    }

    /// How many APDUs it has been sent since the last reset of the count. Pieces of a chain and GET RESPONSE count too.
    pub async fn count(&mut self) -> u64 {
        self.number("count").await
    }

    /// Begins to count anew, also for faults.
    pub async fn reset_count(&mut self) {
        self.told("reset-count").await;
    }

    /// Lets something happen at the APDU with this number, of which the first after a reset of the count is 1.
    pub async fn fails_at(&mut self, number: u64, fault: &Fault) {
        self.told(&format!("at {number} {fault}")).await;
    }

    /// Lets it happen there and at every later APDU.
    pub async fn fails_from(&mut self, number: u64, fault: &Fault) {
        self.told(&format!("from {number} {fault}")).await;
    }

    /// Lets nothing of that happen any more.
    pub async fn works_again(&mut self) {
        self.told("clear").await;
    }

    /// How many faults have struck since the last reset of the count.
    pub async fn fired(&mut self) -> u64 {
        self.number("fired").await
    }

    /// How many commands have ever succeeded, by instruction in hex (`47` is GENERATE); `sign` counts uses of private keys.
    pub async fn executed(&mut self) -> BTreeMap<String, u64> {
        let list = self.ask("executed").await;
        let pairs = list.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(what, count)| (what.to_owned(), count.parse().expect("a number"))).collect()
    }

    /// Writes down every APDU from now on, with the secrets blanked: `> command`, `< answer`, `! event`.
    pub async fn record(&mut self, file: &Path) {
        self.told(&format!("record {}", file.display())).await;
    }

    /// How far a transcript was followed.
    pub async fn replayed(&mut self) -> Replayed {
        let text = self.ask("replayed").await;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [done, of, ref strange @ ..] = *words.as_slice() else { panic!("no answer: {text}") };
        let number = |word: &str| word.parse().expect("a number");
        Replayed { done: number(done), of: number(of), strange: strange.first().map(|word| (*word).to_owned()) }
    }

    /// Touches it, once it waits for that.
    pub async fn touch(&mut self) {
        eventually("the card waits for a touch", async || (self.ask("touch").await == "ok").then_some(())).await;
    }

    /// Ends the program at once.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("killed");
        self.is_seen(false).await;
    }

    /// Waits until the program has ended by itself, as [`Fault::Exit`] makes it.
    pub async fn ended(&mut self) {
        let status = timeout(PATIENCE, self.process.wait()).await.expect("in time").expect("a status");
        assert!(status.success(), "{status}");
    }

    pub(crate) async fn told(&mut self, line: &str) {
        let answer = self.ask(line).await;
        assert_eq!(answer, "ok", "{line}");
    }

    async fn number(&mut self, line: &str) -> u64 {
        self.ask(line).await.parse().expect("a number")
    }

    async fn ask(&mut self, line: &str) -> String {
        self.commands.write_all(format!("{line}\n").as_bytes()).await.expect("the card listens");
        let answer = timeout(PATIENCE, self.answers.next_line()).await.expect("in time").expect("read");
        answer.unwrap_or_else(|| panic!("the card has ended: {line}"))
    }
}

/// The namespaces of one pcscd.
#[derive(Clone, Copy)]
struct Inside(u32);

impl Inside {
    /// A command for which only a program lacks, with files as this pcscd has them and everybody's network.
    fn enter(self, directory: Option<&Path>) -> Command {
        let mut command = Command::new("nsenter");
        self.mounts(&mut command, directory);
        command
    }

    fn mounts(self, command: &mut Command, directory: Option<&Path>) {
        command.args(["--target", &self.0.to_string(), "--mount"]);
        if let Some(directory) = directory {
            command.arg(format!("--wdns={}", directory.display()));
        }
        command.arg("--");
    }

    async fn run(self, directory: Option<&Path>, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &PATIENCE.as_secs().to_string(), "nsenter"]);
        self.mounts(&mut command, directory);
        command.arg(program).args(arguments).envs(variables.iter().copied()).env("LANG", "C.UTF-8").stdin(Stdio::null());
        let output = command.output().await.expect("timeout runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    async fn cards(self) -> [bool; 2] {
        let listed = self.run(None, "opensc-tool", &["--list-readers"], &[]).await;
        let says_yes = |number: &str| {
            let words = listed.out.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>());
            words.into_iter().any(|words| words == [number, "Yes"])
        };
        ["0", "1"].map(says_yes)
    }
}

/// The first reader's port, of vpcd's own choice; the second's is the next.
const FIRST_PORT: u16 = 0x8C7B;

/// The program that is the card, built where it was not.
async fn card_program() -> &'static Path {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let output = Command::new(testbed("card.sh")).stderr(Stdio::inherit()).output().await.expect("card.sh runs");
        assert!(output.status.success(), "the card cannot be built");
        PathBuf::from(String::from_utf8(output.stdout).expect("UTF-8").trim_end())
    };
    PROGRAM.get_or_init(build).await
}

fn testbed(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed").join(script)
}

/// Bytes as they are written in transcripts.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}
