//! Answers that a script gives on a descriptor: lines `KIND=value`, each read when a question needs it, straight into locked
//! memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use obnova_secret::{Secret, SecretError};

/// The longest word before the `=`, in bytes.
const KIND: usize = 64;

/// The lines of a descriptor.
pub(super) struct Answers(Arc<Mutex<Lines>>);

struct Lines {
    source: File,
    /// Lines that were read on the way to another and are still to be taken.
    passed: VecDeque<(String, Secret)>,
}

impl Answers {
    /// Opens an inherited descriptor again, which leaves the original alone (proc(5), `/proc/self/fd`).
    pub(super) fn open(number: u32) -> io::Result<Self> {
        let source = File::open(format!("/proc/self/fd/{number}"))?;
        Ok(Self::of(source))
    }

    fn of(source: File) -> Self {
        Self(Arc::new(Mutex::new(Lines { source, passed: VecDeque::new() })))
    }

    /// The next line of this kind whose value begins with `prefix`, without the prefix; `None` if there is none.
    ///
    /// Lines of other kinds stay for their own questions, in order.
    pub(super) async fn take(&self, kind: &str, prefix: &str) -> Result<Option<Secret>, SecretError> {
        let (lines, kind, prefix) = (Arc::clone(&self.0), kind.to_owned(), prefix.to_owned());
        // A pipe may keep us waiting; signals and withdrawals must not wait with us.
        let taking = tokio::task::spawn_blocking(move || {
            lines.lock().unwrap_or_else(PoisonError::into_inner).take(&kind, prefix.as_bytes())
        });
        taking.await.map_err(|error| SecretError::Io(io::Error::other(error)))?
    }
}

impl Lines {
    fn take(&mut self, kind: &str, prefix: &[u8]) -> Result<Option<Secret>, SecretError> {
        let fits = |(of, value): &(String, Secret)| of == kind && value.expose().starts_with(prefix);
        let position = self.passed.iter().position(fits);
        let mut found = position.and_then(|index| self.passed.remove(index));
        while found.is_none() {
            let Some(line) = self.next()? else { return Ok(None) };
            if fits(&line) {
                found = Some(line);
            } else {
                self.passed.push_back(line);
            }
        }
        let Some((_, value)) = found else { return Ok(None) };
        if prefix.is_empty() { Ok(Some(value)) } else { value.part(prefix.len()..value.expose().len()).map(Some) }
    }

    /// The next line that has a kind.
    fn next(&mut self) -> Result<Option<(String, Secret)>, SecretError> {
        loop {
            let mut kind = Vec::new();
            let end = loop {
                match byte(&mut self.source).map_err(SecretError::Io)? {
                    Some(byte @ (b'=' | b'\n')) => break Some(byte),
                    Some(byte) if kind.len() < KIND => kind.push(byte),
                    Some(_) => {}
                    None => break None,
                }
            };
            match end {
                Some(b'=') => {
                    let value = Secret::read_from(RestOfLine { source: &mut self.source, over: false })?;
                    return Ok(Some((String::from_utf8_lossy(&kind).trim().to_owned(), value)));
                }
                // An empty line, or one without a kind, answers nothing.
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// The bytes up to the line end, one by one: what follows belongs to the next line's memory.
struct RestOfLine<'a> {
    source: &'a mut File,
    over: bool,
}

impl Read for RestOfLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(place) = buffer.first_mut().filter(|_| !self.over) else { return Ok(0) };
        match byte(self.source)? {
            Some(b'\n') | None => {
                self.over = true;
                Ok(0)
            }
            Some(byte) => {
                *place = byte;
                Ok(1)
            }
        }
    }
}

fn byte(source: &mut File) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_question_takes_only_a_line_of_its_kind_in_order() {
        let answers = answers("password=one\nconsent=renewal:yes\n\nno kind\npassword=two=2\nnew-password=\npin=1234");
        assert_eq!(taken(&answers, "pin", "").await.as_deref(), Some("1234"), "the last line needs no end");
        assert_eq!(taken(&answers, "password", "").await.as_deref(), Some("one"));
        assert_eq!(taken(&answers, "password", "").await.as_deref(), Some("two=2"));
        assert_eq!(taken(&answers, "password", "").await, None);
        assert_eq!(taken(&answers, "consent", "watch:").await, None);
        assert_eq!(taken(&answers, "consent", "renewal:").await.as_deref(), Some("yes"));
        assert_eq!(taken(&answers, "new-password", "").await.as_deref(), Some(""), "an empty one is one");
    }

    async fn taken(answers: &Answers, kind: &str, prefix: &str) -> Option<String> {
        let secret = answers.take(kind, prefix).await.expect("read");
        secret.map(|secret| String::from_utf8(secret.expose().to_vec()).expect("UTF-8"))
    }

    fn answers(lines: &str) -> Answers {
        let (reading, writing) = obnova_secret::pipe().expect("a pipe");
        File::from(writing).write_all(lines.as_bytes()).expect("written");
        Answers::of(File::from(reading))
    }
}
