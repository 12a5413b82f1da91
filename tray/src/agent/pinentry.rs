//! One question in one of pinentry's windows, in the Assuan protocol (libassuan's manual, "Server responses"; GnuPG's
//! `doc/pinentry.texi`). Owns the process and every byte that it says; the questions come from the agent.
//!
//! Whatever pinentry says is read into locked memory, where the secret is decoded as well. A question ends at once when its
//! future is dropped: the process is killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::Stdio;

use obnova_secret::{Secret, SecretError};
use tokio::process::{Child, Command};
use tracing::debug;

/// Programs that show windows, in the order in which they are tried. The first is whatever the distribution or the person chose.
const PROGRAMS: [&str; 6] = ["pinentry", "pinentry-gnome3", "pinentry-gtk-2", "pinentry-qt", "pinentry-qt5", "pinentry-x11"];

/// The longest line, its end included (`ASSUAN_LINELENGTH` of libassuan).
const LINE: usize = 1000;
const ELLIPSIS: &str = "…";

/// The lower half of libgpg-error's codes; the upper half says who reports it.
const CANCELED: u32 = 99;
const NOT_CONFIRMED: u32 = 114;

/// A window's words, as plain text.
#[derive(Clone)]
pub(super) struct Dialog {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) prompt: String,
    pub(super) yes: String,
    pub(super) no: String,
    /// Why the last answer was not taken.
    pub(super) error: Option<String>,
    /// Asked twice: what stands before the second field, and what is said when the two differ.
    pub(super) repeat: Option<(String, String)>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialogError {
    /// The person closed the window or said no.
    #[error("the question was refused")]
    Refused,
    /// None of the programs is there, or none can show a window.
    #[error("no pinentry can show a window here")]
    NoProgram,
    /// It cannot be started, or ended in mid-sentence.
    #[error("pinentry has failed")]
    Io(#[from] io::Error),
    /// What it said cannot be held.
    #[error("the answer of pinentry cannot be taken in")]
    Memory(#[from] SecretError),
    /// It said something that the protocol does not know here, or reported an error (with this code).
    #[error("pinentry reports error {0}")]
    Reported(u32),
}

/// Which program asks.
#[derive(Clone, Debug, Default)]
pub struct Pinentry {
    /// This one; otherwise the first that can show a window.
    pub program: Option<OsString>,
}

impl Pinentry {
    /// Asks for a secret: UTF-8, may be empty.
    pub(super) async fn secret(&self, dialog: Dialog) -> Result<Secret, DialogError> {
        self.converse(move |session| session.secret(&dialog)).await
    }

    /// Asks for a yes.
    pub(super) async fn confirm(&self, dialog: Dialog) -> Result<bool, DialogError> {
        self.converse(move |session| session.confirm(&dialog)).await
    }

    /// Runs a conversation on a thread of its own. When this future is dropped the process is killed, which ends the thread.
    async fn converse<T: Send + 'static>(
        &self,
        conversation: impl FnOnce(&mut Session) -> Result<T, DialogError> + Send + 'static,
    ) -> Result<T, DialogError> {
        let (mut process, mut session) = self.start().await?;
        let outcome = tokio::task::spawn_blocking(move || conversation(&mut session)).await;
        // The conversation is over, and with it the input: the program ends by itself, or by the drop.
        process.start_kill()?;
        process.wait().await?;
        outcome.map_err(io::Error::from)?
    }

    async fn start(&self) -> Result<(Child, Session), DialogError> {
        let programs = match &self.program {
            Some(program) => vec![program.clone()],
            None => PROGRAMS.map(OsString::from).to_vec(),
        };
        for program in programs {
            let (process, mut session) = match launch(&program) {
                Ok(launched) => launched,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let greeting = move || -> Result<Option<Session>, DialogError> { Ok(session.greet()?.then_some(session)) };
            match tokio::task::spawn_blocking(greeting).await.map_err(io::Error::from)? {
                Ok(Some(session)) => return Ok((process, session)),
                Ok(None) => debug!(?program, "a pinentry for terminals"),
                Err(error) => debug!(?program, error = &error as &dyn std::error::Error, "a pinentry that does not work"),
            }
        }
        Err(DialogError::NoProgram)
    }
}

fn launch(program: &OsString) -> io::Result<(Child, Session)> {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    if !speaks_utf8() {
        // Outside a UTF-8 locale pinentry-qt loses every letter that is not ASCII.
        command.env("LC_ALL", "C.UTF-8");
    }
    let mut process = command.spawn()?;
    let lost = || io::Error::other("a pipe is missing");
    let output = process.stdin.take().ok_or_else(lost)?.into_owned_fd()?;
    let input = process.stdout.take().ok_or_else(lost)?.into_owned_fd()?;
    Ok((process, Session { output: output.into(), input: input.into() }))
}

fn speaks_utf8() -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A conversation; it blocks.
struct Session {
    output: File,
    input: File,
}

impl Session {
    /// Hears the greeting, and says whether this program can show windows.
    fn greet(&mut self) -> Result<bool, DialogError> {
        self.answer()?;
        // Secrets come in the charset of this locale; glibc always has it.
        self.optional("OPTION", "lc-ctype=C.UTF-8")?;
        let flavor = match self.request("GETINFO", "flavor") {
            Ok(flavor) => flavor,
            // One too old to say.
            Err(DialogError::Reported(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let flavor = flavor.as_ref().map(|flavor| String::from_utf8_lossy(flavor.expose())).unwrap_or_default();
        Ok(!["curses", "tty", "emacs"].iter().any(|terminal| flavor.contains(terminal)))
    }

    fn secret(&mut self, dialog: &Dialog) -> Result<Secret, DialogError> {
        self.words(dialog)?;
        let Some((again, differ)) = &dialog.repeat else { return self.pin() };
        if self.optional("SETREPEAT", again)? {
            self.optional("SETREPEATERROR", differ)?;
            return self.pin();
        }
        // One that does not know two fields: two windows.
        loop {
            let first = self.pin()?;
            self.request("SETPROMPT", again)?;
            let second = self.pin()?;
            if first.expose() == second.expose() {
                return Ok(first);
            }
            self.request("SETPROMPT", &dialog.prompt)?;
            self.request("SETERROR", differ)?;
        }
    }

    fn confirm(&mut self, dialog: &Dialog) -> Result<bool, DialogError> {
        self.words(dialog)?;
        match self.request("CONFIRM", "") {
            Ok(_) => Ok(true),
            Err(DialogError::Refused) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn words(&mut self, dialog: &Dialog) -> Result<(), DialogError> {
        // Not every window has a title bar, so that the title stands above the text as well.
        let description =
            if dialog.body.is_empty() { dialog.title.clone() } else { format!("{}\n\n{}", dialog.title, dialog.body) };
        self.optional("SETTITLE", &dialog.title)?;
        self.request("SETDESC", &description)?;
        self.request("SETPROMPT", &dialog.prompt)?;
        self.request("SETOK", &label(&dialog.yes))?;
        self.request("SETCANCEL", &label(&dialog.no))?;
        if let Some(error) = &dialog.error {
            self.request("SETERROR", error)?;
        }
        Ok(())
    }

    /// What is typed; nothing typed is an empty secret.
    fn pin(&mut self) -> Result<Secret, DialogError> {
        match self.request("GETPIN", "")? {
            Some(secret) => Ok(secret),
            None => Ok(Secret::from_slice(&mut [])?),
        }
    }

    /// Whether it knows this.
    fn optional(&mut self, command: &str, argument: &str) -> Result<bool, DialogError> {
        match self.request(command, argument) {
            Ok(_) => Ok(true),
            Err(DialogError::Reported(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn request(&mut self, command: &str, argument: &str) -> Result<Option<Secret>, DialogError> {
        self.output.write_all(&encoded(command, argument))?;
        self.answer()
    }

    /// Reads to the end of the answer; the data, if there were any.
    fn answer(&mut self) -> Result<Option<Secret>, DialogError> {
        let mut data: Vec<Secret> = Vec::new();
        loop {
            let line = Secret::read_from(OneLine { source: &self.input, ended: false })?;
            let bytes = line.expose();
            if bytes.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if bytes.starts_with(b"D ") {
                data.push(line);
            } else if let Some(report) = bytes.strip_prefix(b"ERR ") {
                return Err(reported(report));
            } else if bytes == b"OK" || bytes.starts_with(b"OK ") {
                break;
            } else if !(bytes.starts_with(b"S ") || bytes.starts_with(b"#")) {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(Secret::read_from(Decoded { lines: data.iter().map(|line| &line.expose()[2..]).collect() })?))
    }
}

fn reported(report: &[u8]) -> DialogError {
    let digits = report.iter().take_while(|byte| byte.is_ascii_digit());
    let code = digits.fold(0_u32, |code, digit| code.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')));
    match code & 0xffff {
        CANCELED | NOT_CONFIRMED => DialogError::Refused,
        other => DialogError::Reported(other),
    }
}

/// A request as a line: what would end it is escaped, what would make it too long is left out.
fn encoded(command: &str, argument: &str) -> Vec<u8> {
    if argument.is_empty() {
        return format!("{command}\n").into_bytes();
    }
    let mut escaped = argument.replace('%', "%25").replace('\n', "%0A").replace('\r', "%0D");
    let room = LINE - command.len() - " \n".len();
    if escaped.len() > room {
        let mut end = room - ELLIPSIS.len();
        while !escaped.is_char_boundary(end) || escaped.as_bytes()[end - 2..end].contains(&b'%') {
            end -= 1;
        }
        escaped.truncate(end);
        escaped.push_str(ELLIPSIS);
    }
    format!("{command} {escaped}\n").into_bytes()
}

/// An underscore marks a button's shortcut.
fn label(text: &str) -> String {
    text.replace('_', "__")
}

/// Reads one line, byte by byte so that nothing stays in a buffer, and without its end.
struct OneLine<'a> {
    source: &'a File,
    ended: bool,
}

impl Read for OneLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = buffer.get_mut(..1) else { return Ok(0) };
        if self.ended || self.source.read(slot)? == 0 {
            return Ok(0);
        }
        if slot[0] == b'\n' {
            slot[0] = 0;
            self.ended = true;
            return Ok(0);
        }
        Ok(1)
    }
}

/// Data lines one after the other, with `%XX` decoded.
struct Decoded<'a> {
    lines: Vec<&'a [u8]>,
}

impl Read for Decoded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = buffer.first_mut() else { return Ok(0) };
        while self.lines.first().is_some_and(|line| line.is_empty()) {
            self.lines.remove(0);
        }
        let Some(line) = self.lines.first_mut() else { return Ok(0) };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let [b'%', high, low, rest @ ..] = *line
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            *slot = high << 4 | low;
            *line = rest;
        } else {
            *slot = line[0];
            *line = &line[1..];
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests;
