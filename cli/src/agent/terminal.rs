//! Asks a person at a terminal. Whatever ends a question (an answer, a withdrawal, a signal) leaves the terminal as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use obnova_api::RulesView;
use obnova_secret::{CAPACITY, Secret, SecretError};
use obnova_text::{Question, Text};
use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A terminal of our own opening, so that nobody else's reads are affected by how it is read here.
pub(super) struct Terminal(AsyncFd<File>);

impl Terminal {
    /// Opens a terminal; fails for what is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        tcgetattr(&file)?;
        #[expect(deprecated, reason = "its successor is unsafe for descriptors that may change; that of a File does not")]
        let terminal = AsyncFd::with_interest(file, Interest::READABLE)?;
        Ok(Self(terminal))
    }

    /// Asks for a secret that exists. `None`: the person ended the input instead.
    pub(super) async fn secret(&self, text: &Text, question: &Question) -> Result<Option<Secret>, SecretError> {
        self.introduce(question)?;
        self.hidden(text, &question.prompt).await
    }

    /// Asks for a new secret, twice, until it keeps the rules and both are the same.
    pub(super) async fn new_secret(
        &self,
        text: &Text,
        question: &Question,
        rules: Option<&RulesView>,
    ) -> Result<Option<Secret>, SecretError> {
        self.introduce(question)?;
        loop {
            let Some(first) = self.hidden(text, &question.prompt).await? else { return Ok(None) };
            if let Some(reason) = rules.and_then(|rules| text.rule_broken(rules, first.expose())) {
                self.say(&format!("{reason}\n"))?;
                continue;
            }
            let Some(second) = self.hidden(text, &question.again).await? else { return Ok(None) };
            if first.expose() == second.expose() {
                return Ok(Some(first));
            }
            self.say(&format!("{}\n", question.differ))?;
        }
    }

    /// Asks for one of several.
    pub(super) async fn choose(
        &self,
        text: &Text,
        question: &Question,
        choices: &[String],
    ) -> Result<Option<String>, SecretError> {
        self.introduce(question)?;
        for (index, choice) in choices.iter().enumerate() {
            let line = text.say("cli-choice", &[("number", &(index + 1).to_string()), ("choice", choice)]);
            self.say(&format!("{line}\n"))?;
        }
        loop {
            self.say(&format!("{} ", text.say("cli-prompt", &[("prompt", &question.prompt)])))?;
            let Some(line) = self.visible().await? else { return Ok(None) };
            let number = line.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            if let Some(choice) = number.and_then(|index| choices.get(index)) {
                return Ok(Some(choice.clone()));
            }
        }
    }

    /// Asks for a yes; anything else is a no.
    pub(super) async fn yes(&self, text: &Text, question: &Question) -> Result<bool, SecretError> {
        self.introduce(question)?;
        self.say(&format!("{} ", text.say("cli-yes-no", &[("prompt", &question.prompt)])))?;
        let line = self.visible().await?.unwrap_or_default();
        let letters = text.say("cli-yes-letters", &[]);
        Ok(line.trim().chars().next().is_some_and(|letter| letters.contains(letter)))
    }

    /// Says that no page was opened.
    pub(super) fn note(&self, text: &Text) -> Result<(), SecretError> {
        self.say(&format!("{}\n", text.say("question-link-unopened", &[])))
    }

    fn introduce(&self, question: &Question) -> Result<(), SecretError> {
        let body = question.body.trim_end();
        let gap = if body.is_empty() { "" } else { "\n" };
        self.say(&format!("\n{}\n{body}{gap}", question.title))
    }

    /// A line that is not shown while it is typed. The memory of the terminal's driver is the kernel's; ours is locked.
    async fn hidden(&self, text: &Text, prompt: &str) -> Result<Option<Secret>, SecretError> {
        let prompt = format!("{} ", text.say("cli-prompt", &[("prompt", prompt)]));
        loop {
            let silence = Silence::over(self.0.get_ref())?;
            self.say(&prompt)?;
            let outcome = self.line(|line| Secret::read_from(line)).await;
            drop(silence);
            match outcome {
                Err(SecretError::TooLong { .. }) => {
                    let most = CAPACITY.to_string();
                    self.say(&format!("{}\n", text.say("question-rules-long", &[("digits", "false"), ("max", &most)])))?;
                }
                outcome => return outcome,
            }
        }
    }

    /// A line that is shown while it is typed. What was typed before the question is no answer to it.
    async fn visible(&self) -> Result<Option<String>, SecretError> {
        tcflush(self.0.get_ref(), QueueSelector::IFlush).map_err(|error| SecretError::Io(error.into()))?;
        self.line(|line| {
            let mut bytes = Vec::new();
            line.read_to_end(&mut bytes).map_err(SecretError::Io)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
        .await
    }

    /// Waits for a line and reads it; `None` at the end of input.
    async fn line<T>(&self, read: impl Fn(&mut Line<'_>) -> Result<T, SecretError>) -> Result<Option<T>, SecretError> {
        loop {
            let mut ready = self.0.readable().await.map_err(SecretError::Io)?;
            let mut line = Line { terminal: self.0.get_ref(), begun: false, over: false };
            match read(&mut line) {
                Err(SecretError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(answer) => return Ok(line.begun.then_some(answer)),
                Err(error) => return Err(error),
            }
        }
    }

    fn say(&self, words: &str) -> Result<(), SecretError> {
        self.0.get_ref().write_all(words.as_bytes()).map_err(SecretError::Io)
    }
}

/// One line of a terminal, without its end: the driver hands out whole lines (termios(3), canonical mode), so that once a
/// line has begun the rest of it is there.
struct Line<'a> {
    terminal: &'a File,
    begun: bool,
    over: bool,
}

impl Read for Line<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over {
            return Ok(0);
        }
        let mut read = self.terminal.read(buffer)?;
        self.begun |= read > 0;
        // Less than asked for and no line end: the input was ended in the middle of the line.
        self.over = read < buffer.len();
        if read > 0 && buffer[read - 1] == b'\n' {
            self.over = true;
            read -= 1;
            buffer[read] = 0;
        }
        Ok(read)
    }
}

/// No echo as long as this lives.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn over(terminal: &'a File) -> Result<Self, SecretError> {
        let before = tcgetattr(terminal).map_err(|error| SecretError::Io(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        // Suspended here, the shell would be left without echo.
        silent.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(|error| SecretError::Io(error.into()))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing restored, and there is nobody to tell.
        let _gone = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
