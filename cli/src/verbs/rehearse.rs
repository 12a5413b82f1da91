//! `rehearse`: a whole renewal with a daemon of its own at the other end of a socket pair. Neither bus nor running daemon is needed,
//! and nothing of the person's is touched.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use obnova_api::{ItemView, Options, ProgrammeView, rehearsal_secret};
use zbus::Connection;
use zbus::connection::Builder;

use crate::ending::{Ending, Failure};
use crate::session::{Session, dictionary, read};
use crate::verbs::renew;

/// The daemon's program.
const DAEMON: &str = "obnovad";

/// How long a call may stay unanswered before the daemon serves, and how long it may take until it does.
const MOMENT: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_mins(1);

/// A daemon that rehearses; it ends with this.
pub(crate) struct Stage(Child);

impl Drop for Stage {
    fn drop(&mut self) {
        // The socket is closed by now, by which it ends and cleans up; only its end is awaited.
        if let Err(error) = self.0.wait() {
            debug_assert!(false, "{error}");
        }
    }
}

/// Starts a daemon for this programme; the connection to it.
pub(crate) async fn stage(programme: &str) -> Result<(Stage, Connection), Failure> {
    let (ours, theirs) = UnixStream::pair()?;
    let own = std::env::current_exe()?;
    let beside = own.with_file_name(DAEMON);
    let program = if beside.exists() { beside } else { DAEMON.into() };
    let mut daemon = Command::new(program);
    daemon.args(["--rehearse", programme]).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    // What goes wrong is told by the daemon itself.
    daemon.env("OBNOVA_LOG", "off");
    let child = daemon.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new("no-daemon", []),
        _ => Failure::from(error),
    })?;
    // Our copy of its end is closed with this: should it die, that is seen.
    drop(daemon);
    let stage = Stage(child);
    ours.set_nonblocking(true)?;
    let ours = tokio::net::UnixStream::from_std(ours)?;
    // One that dies has said why, and ends the handshake.
    match Builder::unix_stream(ours).p2p().build().await {
        Ok(connection) => Ok((stage, connection)),
        Err(_) => Err(Failure::Told),
    }
}

/// Plays the renewal of what the daemon has made up.
pub(crate) async fn play(session: &mut Session<'_>, programme: &str) -> Result<Ending, Failure> {
    let item = tokio::time::timeout(PATIENCE, first_item(session)).await.map_err(|_| Failure::Lost)??;
    let programmes: Vec<ProgrammeView> = read(&session.call("Programmes", &()).await?)?;
    let rules = programmes.first().map(|programme| programme.secret.clone()).unwrap_or_default();
    let begun = session.text.say("cli-rehearsal", &[("programme", programme), ("secret", &rehearsal_secret(rules.min))]);
    session.tell(&begun)?;
    let ending = renew::begin(session, &item, "renew", &Options::default(), true).await?;
    if ending == Ending::Done {
        let over = session.text.say("cli-rehearsed", &[]);
        session.tell(&over)?;
    }
    Ok(ending)
}

/// The one certificate that there is, once the daemon serves and has seen it.
async fn first_item(session: &Session<'_>) -> Result<ItemView, Failure> {
    // Before its objects are there, a call over a socket pair is not answered at all.
    while tokio::time::timeout(MOMENT, session.door.manager.status()).await.is_err() {}
    let mut changes = session.door.manager.receive_changed().await?;
    loop {
        let items: Vec<ItemView> = session.items(&dictionary([])?).await?;
        if let Some(item) = items.into_iter().find(|item| item.kind == "identity") {
            return Ok(item);
        }
        if changes.next().await.is_none() {
            return Err(Failure::Lost);
        }
    }
}

/// Where a rehearsal's paths go: what they name is gone when they could be read.
pub(crate) fn nowhere() -> io::Sink {
    io::sink()
}
