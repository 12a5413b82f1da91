//! The programs that belong to the daemon and do what it does not do itself, each at the other end of a socket pair: how they are
//! started and ended, and the frames that go to and fro. What the frames say is the protocols'.
//!
//! A frame is a length (`u32`, little-endian) and so many bytes.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use obnova_secret::{CAPACITY, Secret, SecretError};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The longest frame in bytes that either side accepts, secrets excepted: they have [`obnova_secret::CAPACITY`].
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// How long a killed companion may take to disappear. Longer only if it hangs inside the kernel, on a dead network share.
const REAP_DEADLINE: Duration = Duration::from_secs(5);

/// A companion that runs. Dropped, it is killed.
///
/// It dies with the *thread* that started it: start it from the main thread's runtime.
pub(crate) struct Companion {
    child: Child,
    socket: UnixStream,
}

impl Companion {
    /// Starts a program with this environment and no other.
    pub(crate) fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        program: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
        errors: Stdio,
    ) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let mut command = Command::new(program);
        command.env_clear().envs(environment).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(errors);
        Ok(Self { child: command.kill_on_drop(true).spawn()?, socket })
    }

    /// Sends a frame. Nothing is buffered on the way: the bytes of a secret go from its page to the kernel.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.write_all(&length_of(frame)?).await?;
        self.socket.write_all(frame).await
    }

    /// The next frame.
    pub(crate) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).await?;
        let mut frame = vec![0; bounded(length, MAX_FRAME)?];
        self.socket.read_exact(&mut frame).await?;
        Ok(frame)
    }

    /// Kills it, if it is still there, and reaps it.
    pub(crate) async fn end(mut self) -> io::Result<ExitStatus> {
        let reap = async {
            self.child.start_kill()?;
            self.child.wait().await
        };
        timeout(REAP_DEADLINE, reap).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

/// A companion's program: beside the daemon's own, or where it is installed.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let places = [own.with_file_name(name), own.with_file_name(format!("../libexec/obnova/{name}"))];
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let [beside, installed] = places.each_ref().map(|place| place.display());
        io::Error::new(io::ErrorKind::NotFound, format!("{name} is neither at {beside} nor at {installed}"))
    })
}

/// In a companion: the socket pair's other end, once it is sure that this process ends with the daemon. The kernel is asked for
/// SIGKILL at the daemon's death; that this did not come too late is seen by who the parent is now.
pub fn daemon() -> io::Result<std::os::unix::net::UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let daemon = rustix::net::sockopt::socket_peercred(&socket)?.pid;
    if getppid() == Some(daemon) {
        Ok(socket)
    } else {
        Err(io::Error::other("it is started by obnovad, which is gone or never was"))
    }
}

/// In a companion: sends a frame.
pub fn send(socket: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    socket.write_all(&length_of(frame)?)?;
    socket.write_all(frame)
}

/// In a companion: the next frame, of at most `longest` bytes.
pub fn receive(socket: &mut impl Read, longest: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; receive_length(socket, longest)?];
    socket.read_exact(&mut frame)?;
    Ok(frame)
}

/// In a companion: a secret, from the socket straight into locked memory.
pub fn receive_secret(socket: &mut impl Read) -> Result<Secret, SecretError> {
    let length = receive_length(socket, CAPACITY).map_err(SecretError::Io)?;
    let secret = Secret::read_from(socket.take(length as u64))?;
    if secret.expose().len() == length { Ok(secret) } else { Err(SecretError::Io(io::ErrorKind::UnexpectedEof.into())) }
}

/// In a companion: how many bytes the next frame has, at most `longest`; they are then to be read.
pub fn receive_length(socket: &mut impl Read, longest: usize) -> io::Result<usize> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    bounded(length, longest)
}

fn length_of(frame: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= MAX_FRAME);
    Ok(length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the frame is too long"))?.to_le_bytes())
}

fn bounded(length: [u8; 4], longest: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length <= longest { Ok(length) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long")) }
}

/// Whether the other end went away, as opposed to saying something wrong.
pub fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Bytes that travel as base64 (RFC 4648 §4). Shown by their number only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bytes({})", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_not_shown() {
        assert_eq!(format!("{:?}", Bytes::from(vec![1, 2, 3])), "Bytes(3)");
    }
}
