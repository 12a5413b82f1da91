//! Owns the bytes of one secret from the moment they are read to the moment they are wiped. What they open is not known here.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::PipeFlags;
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroize;

use crate::page::{CAPACITY, Page};

/// A PIN, password or token of at most [`CAPACITY`] bytes, in a page that is locked, excluded from core dumps, empty in a
/// forked child, and zeroised on drop.
///
/// It cannot be cloned by accident; [`duplicate`](Self::duplicate) says what it does. Whoever reads text takes its line
/// end off with [`truncate`](Self::truncate).
pub struct Secret {
    page: Page,
    length: usize,
}

/// Why a secret could not be taken in or passed on. Never contains any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There were more bytes than the reader wanted to accept.
    #[error("a secret may have at most {limit} bytes here")]
    TooLong {
        /// The most bytes that would have been accepted.
        limit: usize,
    },
    /// The memory could not be locked; nothing was read into it.
    #[error("cannot lock the memory of a secret (RLIMIT_MEMLOCK in bytes: {limit:?})")]
    CannotLock {
        /// The process's `RLIMIT_MEMLOCK` in bytes; `None` if it is unlimited.
        limit: Option<u64>,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The memory could not be mapped or protected.
    #[error("cannot set memory aside for a secret")]
    Memory(#[source] io::Error),
    /// The bytes could not be read or written.
    #[error("cannot read or write a secret")]
    Io(#[source] io::Error),
}

impl Secret {
    /// Takes the bytes over and wipes `source`, also when it fails.
    pub fn from_slice(source: &mut [u8]) -> Result<Self, SecretError> {
        let secret = Self::copy_of(source);
        source.zeroize();
        secret
    }

    /// Reads to the end of `reader`, straight into locked memory. More than [`CAPACITY`] bytes are refused.
    ///
    /// `reader` should not buffer, or a copy stays in its buffer.
    pub fn read_from(mut reader: impl Read) -> Result<Self, SecretError> {
        let mut secret = Self::empty()?;
        loop {
            let mut beyond = [0];
            let free = &mut secret.page.bytes_mut()[secret.length..];
            let full = free.is_empty();
            let read = retry(|| reader.read(if full { &mut beyond } else { &mut *free })).map_err(SecretError::Io)?;
            beyond.zeroize();
            match read {
                0 => return Ok(secret),
                _ if full => return Err(SecretError::TooLong { limit: CAPACITY }),
                read => secret.length += read,
            }
        }
    }

    /// Reads a pipe to its end, straight into locked memory; more than `max` bytes (and never more than [`CAPACITY`]) are
    /// refused. Makes the pipe non-blocking, and fails with [`SecretError::Io`] if `pipe` is not the reading end of one.
    ///
    /// Waits as long as the other end is open and silent: the caller sets the deadline. Needs a tokio runtime.
    pub async fn read_from_pipe(pipe: OwnedFd, max: usize) -> Result<Self, SecretError> {
        let limit = max.min(CAPACITY);
        let pipe = Receiver::from_owned_fd(pipe).map_err(SecretError::Io)?;
        let mut secret = Self::empty()?;
        loop {
            pipe.readable().await.map_err(SecretError::Io)?;
            let mut beyond = [0];
            let free = &mut secret.page.bytes_mut()[secret.length..limit];
            let full = free.is_empty();
            let read = pipe.try_read(if full { &mut beyond } else { free });
            beyond.zeroize();
            match read {
                Ok(0) => return Ok(secret),
                Ok(_) if full => return Err(SecretError::TooLong { limit }),
                Ok(read) => secret.length += read,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(SecretError::Io(error)),
            }
        }
    }

    /// Writes all bytes to `fd`, which should block or have room: a pipe that nobody has written to has.
    pub fn write_to(&self, fd: impl AsFd) -> Result<(), SecretError> {
        let mut rest = self.expose();
        while !rest.is_empty() {
            let written = retry(|| Ok(rustix::io::write(&fd, rest)?)).map_err(SecretError::Io)?;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// The bytes, for the moment in which they are used. Whoever copies them answers for the copy.
    pub fn expose(&self) -> &[u8] {
        &self.page.bytes()[..self.length]
    }

    /// Whether there are no bytes at all. An empty password is not the same as none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many characters a person would count: Unicode scalar values of UTF-8, or else bytes.
    pub fn chars_count(&self) -> usize {
        std::str::from_utf8(self.expose()).map_or(self.length, |text| text.chars().count())
    }

    /// Keeps the first `length` bytes and wipes the rest. Nothing happens if there are not that many.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.page.bytes_mut()[length..].zeroize();
            self.length = length;
        }
    }

    /// A second secret with the same bytes, in a page of its own.
    pub fn duplicate(&self) -> Result<Self, SecretError> {
        Self::copy_of(self.expose())
    }

    /// A second secret with the bytes in `range`, which must lie inside this one: one line out of several, for example.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn part(&self, range: Range<usize>) -> Result<Self, SecretError> {
        Self::copy_of(&self.expose()[range])
    }

    fn empty() -> Result<Self, SecretError> {
        Ok(Self { page: Page::new()?, length: 0 })
    }

    fn copy_of(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() > CAPACITY {
            return Err(SecretError::TooLong { limit: CAPACITY });
        }
        let mut secret = Self::empty()?;
        secret.page.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        secret.length = bytes.len();
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    /// Says that there is one, and nothing about it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// A pipe that carries a secret: (reading end, writing end), neither inherited by a program that is started.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

fn retry(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    /// Long enough that no other string of the test program matches it by chance.
    const WORDS: &[u8] = "kůň přelezl plot".as_bytes();

    fn secret() -> Secret {
        Secret::from_slice(&mut WORDS.to_vec()).expect("memory")
    }

    #[test]
    fn takes_the_source_over_and_wipes_it() {
        let mut source = WORDS.to_vec();
        let secret = Secret::from_slice(&mut source).expect("memory");
        assert_eq!(secret.expose(), WORDS);
        assert!(source.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn wipes_also_what_it_refuses() {
        let mut source = vec![7; CAPACITY + 1];
        assert!(matches!(Secret::from_slice(&mut source), Err(SecretError::TooLong { limit: CAPACITY })));
        assert!(source.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn travels_through_a_pipe() {
        let (reading, writing) = pipe().expect("pipe");
        secret().write_to(&writing).expect("write");
        drop(writing);
        let arrived = Secret::read_from(File::from(reading)).expect("read");
        assert_eq!(arrived.expose(), WORDS);
    }

    #[test]
    fn takes_all_that_it_can_hold_and_not_a_byte_more() {
        let full = vec![b'x'; CAPACITY];
        assert_eq!(Secret::read_from(full.as_slice()).expect("fits").expose(), full);
        let beyond = vec![b'x'; CAPACITY + 1];
        assert!(matches!(Secret::read_from(beyond.as_slice()), Err(SecretError::TooLong { limit: CAPACITY })));
    }

    #[tokio::test]
    async fn arrives_in_pieces_at_an_asynchronous_reader() {
        let (reading, writing) = pipe().expect("pipe");
        let arriving = tokio::spawn(Secret::read_from_pipe(reading, CAPACITY));
        let mut writing = File::from(writing);
        for piece in WORDS.chunks(5) {
            writing.write_all(piece).expect("write");
            tokio::task::yield_now().await;
        }
        drop(writing);
        let arrived = arriving.await.expect("task").expect("read");
        assert_eq!(arrived.expose(), WORDS);
    }

    #[tokio::test]
    async fn an_asynchronous_reader_stops_at_its_own_limit() {
        for (limit, fits) in [(WORDS.len(), true), (WORDS.len() - 1, false)] {
            let (reading, writing) = pipe().expect("pipe");
            secret().write_to(&writing).expect("write");
            drop(writing);
            match Secret::read_from_pipe(reading, limit).await {
                Ok(arrived) => assert!(fits && arrived.expose() == WORDS),
                Err(error) => assert!(!fits && matches!(error, SecretError::TooLong { limit: told } if told == limit)),
            }
        }
    }

    #[tokio::test]
    async fn only_a_pipe_is_read_asynchronously() {
        let file = File::open("/proc/self/status").expect("open");
        assert!(matches!(Secret::read_from_pipe(file.into(), CAPACITY).await, Err(SecretError::Io(_))));
    }

    #[test]
    fn counts_characters_or_else_bytes() {
        assert_eq!(secret().chars_count(), 16);
        assert_eq!(Secret::from_slice(&mut [0xff, 0xfe]).expect("memory").chars_count(), 2);
        assert!(Secret::from_slice(&mut []).expect("memory").is_empty());
    }

    #[test]
    fn parts_and_duplicates_stand_on_their_own() {
        let whole = secret();
        let (part, duplicate) = (whole.part(0..5).expect("memory"), whole.duplicate().expect("memory"));
        drop(whole);
        assert_eq!(part.expose(), &WORDS[..5]);
        assert_eq!(duplicate.expose(), WORDS);
    }

    #[test]
    fn shows_nothing_when_debugged() {
        assert_eq!(format!("{:?}", secret()), "Secret(***)");
    }
}
