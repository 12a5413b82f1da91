//! A mailbox on a server (IMAP, RFC 3501), as long as the connection lasts: what comes is read and told, nothing is changed. Owns the order
//! of things; how one gets in is `connect`'s, what is fetched `folders`', and what a server may send at all `gate`'s. Runs in obnova-courier.
//!
//! Where the server pushes (IDLE, RFC 2177), nothing runs between its pushes but the renewal before the half hour that servers grant.

mod connect;
mod folders;
mod gate;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use async_imap::Session;
use async_imap::extensions::idle::IdleResponse;
use obnova_core::Problem;
use obnova_secret::Secret;
use tokio::time::{Instant, sleep, timeout};

use super::Resolver;
use crate::courier::protocol::{News, Post};
use connect::Stream;
use folders::Folders;

/// How long IDLE stands at most: servers end what is silent for half an hour (RFC 2177), and some count from before.
const STANDS: Duration = Duration::from_mins(27);

/// How often a server is asked that does not push.
const ASKED: Duration = Duration::from_mins(15);

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long it waits at most before it listens again, where the server says something without end that is no mail.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Reads a mailbox until something ends it; why it ended. `tell` tells the daemon.
pub async fn keep(post: Post, secret: Secret, tell: impl FnMut(News) -> io::Result<()> + Send) -> Problem {
    let Err(problem) = run(post, secret, tell).await;
    problem
}

async fn run(post: Post, secret: Secret, mut tell: impl FnMut(News) -> io::Result<()> + Send) -> Result<Infallible, Problem> {
    let Post { server, marks, since, names, passed } = post;
    let resolver = Resolver::new(names);
    let host = server.name();
    let mut session = connect::log_in(&server, &secret).await?;
    drop(secret);
    let talk = Talk { host: &host };
    // What it can do is often told anew to whoever has logged in.
    let capabilities = talk.ask(session.capabilities()).await?;
    let pushes = capabilities.has_str("IDLE");
    let counts = capabilities.has_str("CONDSTORE") || capabilities.has_str("QRESYNC");
    let told = session.unsolicited_responses.clone();
    let mut folders = Folders::find(&talk, &mut session, marks, since, passed, counts).await?;
    tell(News::Connected { pushes }).map_err(|error| gone(&error))?;
    loop {
        folders.look(&talk, &mut session, &resolver, &mut tell).await?;
        if !pushes {
            sleep(jittered(ASKED)).await;
            continue;
        }
        // One that says much and brings nothing is listened to more slowly.
        let (mut idle, round) = (0_u32, Instant::now());
        while round.elapsed() < STANDS {
            // What was said while others were looked at.
            let missed = told.is_full() || !told.is_empty();
            while told.try_recv().is_ok() {}
            if missed && folders.look_at_inbox(&talk, &mut session, &resolver, &mut tell).await? > 0 {
                idle = 0;
                continue;
            }
            let woken;
            (session, woken) = listen(&talk, session, STANDS.saturating_sub(round.elapsed())).await?;
            if !woken {
                break;
            }
            if folders.look_at_inbox(&talk, &mut session, &resolver, &mut tell).await? > 0 {
                idle = 0;
            } else {
                idle = idle.saturating_add(1);
                sleep((Duration::from_millis(50) * idle.saturating_sub(3)).min(LONGEST_PAUSE)).await;
            }
        }
    }
}

/// Listens until the server says something (`true`) or the time is over.
async fn listen(talk: &Talk<'_>, session: Session<Stream>, at_most: Duration) -> Result<(Session<Stream>, bool), Problem> {
    let told = session.unsolicited_responses.clone();
    let mut idle = session.idle();
    talk.ask(idle.init()).await?;
    let mut woken = !told.is_empty();
    if !woken {
        let (waiting, _interrupt) = idle.wait_with_timeout(at_most);
        woken = match timeout(at_most, waiting).await {
            Err(_) | Ok(Ok(IdleResponse::Timeout)) => false,
            Ok(Ok(IdleResponse::NewData(_))) => true,
            Ok(Ok(IdleResponse::ManualInterrupt)) => return Err(talk.lost("closed")),
            Ok(Err(error)) => return Err(talk.problem(error)),
        };
    }
    Ok((talk.ask(idle.done()).await?, woken))
}

/// Some of it more or less, so that not everybody asks at the same time.
fn jittered(span: Duration) -> Duration {
    let mut seed = [0; 1];
    // Without chance, all ask at the same time: no harm to us.
    let _ = getrandom::fill(&mut seed);
    span.mul_f64(0.9 + f64::from(seed[0]) / 256.0 * 0.2)
}

/// The daemon is gone, and soon this process.
fn gone(error: &io::Error) -> Problem {
    Problem::Internal { detail: error.to_string() }
}

/// Conversation with a server: each answer within bounds of time, and what failures of it are called.
struct Talk<'host> {
    /// Host and port, as the person is told them.
    host: &'host str,
}

impl Talk<'_> {
    async fn ask<T>(&self, answer: impl Future<Output = async_imap::error::Result<T>>) -> Result<T, Problem> {
        match timeout(PATIENCE, answer).await {
            Ok(answered) => answered.map_err(|error| self.problem(error)),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Problem {
        self.lost(&io::ErrorKind::TimedOut.to_string())
    }

    fn lost(&self, detail: &str) -> Problem {
        Problem::MailUnreachable { host: self.host.to_owned(), detail: short(detail) }
    }

    fn odd(&self, detail: &str) -> Problem {
        Problem::MailAnswer { host: self.host.to_owned(), detail: short(detail) }
    }

    fn problem(&self, error: async_imap::error::Error) -> Problem {
        use async_imap::error::Error;
        match error {
            Error::Io(error) => self.input_output(&error),
            Error::ConnectionLost => self.lost("closed"),
            Error::No(said) => self.lost(information(&said)),
            other => self.odd(&other.to_string()),
        }
    }

    fn input_output(&self, error: &io::Error) -> Problem {
        match error.kind() {
            // What cannot be parsed, and what the gate keeps out.
            io::ErrorKind::Other | io::ErrorKind::InvalidData => self.odd(&error.to_string()),
            _ => self.lost(&error.to_string()),
        }
    }
}

/// What a server wrote into a refusal, out of what the library makes of it.
fn information(said: &str) -> &str {
    let text = said.split_once("info: Some(\"").and_then(|(_, text)| text.strip_suffix("\")"));
    text.unwrap_or(said)
}

/// What a server wrote, as far as a person wants to read it.
fn short(detail: &str) -> String {
    detail.chars().filter(|letter| !letter.is_control()).take(150).collect()
}
