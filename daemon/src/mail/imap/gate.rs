//! What a mail server may send at all: lines and literals within bounds, seen before any parser makes room for them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::mail::LONGEST;

/// The longest response in bytes, what it quotes included.
const LONGEST_RESPONSE: usize = LONGEST + 512 * 1024;

/// A connection behind which nobody reads more than the bounds.
#[derive(Debug)]
pub(super) struct Gate<S> {
    inner: S,
    bounds: Bounds,
}

/// How far a response has come.
#[derive(Debug, Default)]
struct Bounds {
    /// Its bytes so far.
    length: usize,
    /// What is left of a literal (RFC 3501 section 4.3).
    literal: usize,
    /// The digits behind a `{` that may announce one.
    announced: Option<usize>,
    /// The bracket behind them is closed.
    closed: bool,
}

impl<S> Gate<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, bounds: Bounds::default() }
    }
}

impl Bounds {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.literal > 0 {
                let quoted = self.literal.min(rest.len());
                self.literal -= quoted;
                self.length += quoted;
                rest = &rest[quoted..];
                continue;
            }
            rest = after;
            self.length += 1;
            if self.length > LONGEST_RESPONSE {
                return Err(too_long());
            }
            self.take(byte)?;
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) -> io::Result<()> {
        match (byte, self.announced, self.closed) {
            (b'{', ..) => (self.announced, self.closed) = (Some(0), false),
            (b'0'..=b'9', Some(number), false) => {
                let number = number.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                self.announced = Some(number);
            }
            (b'+', Some(_), false) | (b'\r', Some(_), true) => {}
            (b'}', Some(_), false) => self.closed = true,
            (b'\n', Some(number), true) => {
                (self.announced, self.closed) = (None, false);
                if number > LONGEST || self.length.saturating_add(number) > LONGEST_RESPONSE {
                    return Err(too_long());
                }
                self.literal = number;
            }
            (b'\n', ..) => *self = Self::default(),
            _ => (self.announced, self.closed) = (None, false),
        }
        Ok(())
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "more than was asked for")
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Self { inner, bounds } = &mut *self;
        let read = Pin::new(inner).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            bounds.pass(&buffer.filled()[before..])?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(parts: &[&[u8]]) -> bool {
        let mut bounds = Bounds::default();
        parts.iter().all(|part| bounds.pass(part).is_ok())
    }

    #[test]
    fn what_is_asked_for_passes_and_nothing_longer() {
        let mail = vec![b'x'; LONGEST];
        let head = format!("* 1 FETCH (UID 1 BODY[] {{{LONGEST}}}\r\n");
        assert!(passes(&[head.as_bytes(), &mail, b")\r\n", head.as_bytes(), &mail, b")\r\n"]));
        assert!(!passes(&[format!("* 1 FETCH (BODY[] {{{}}}\r\n", LONGEST + 1).as_bytes()]));
        assert!(!passes(&[b"* 1 FETCH (BODY[] {99999999999999999999999999}\r\n"]));
        assert!(!passes(&[head.as_bytes(), &mail, format!(" X {{{LONGEST}}}\r\n").as_bytes()]), "in one response");
        assert!(!passes(&[&vec![b'y'; LONGEST_RESPONSE + 1]]));
        // In pieces, and with brackets that announce nothing.
        assert!(passes(&[b"* OK {12} is a n", b"umber {", b"3", b"}\r", b"\nab", b"c\r\n", b"* OK\r\n"]));
        assert!(!passes(&[b"* X {", b"9999999", b"9}", b"\r", b"\n"]));
    }
}
