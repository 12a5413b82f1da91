//! What systemd is told: ready, stopping, one line of status, the watchdog's ping, and the priority of each line of the log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use obnova_core::Problem;
use obnova_text::{Advice, Text};
use sd_notify::NotifyState;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::bus::{Desk, views};

/// How long changes are gathered before the status line is said anew.
const GATHER: Duration = Duration::from_millis(200);

/// Standard error where systemd reads it: each line begins with its priority (sd-daemon(3)).
#[derive(Clone, Copy, Debug)]
pub struct Journal;

/// A line for systemd's journal.
#[derive(Debug)]
pub struct Line(u8);

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(6)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line(match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        })
    }
}

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let whole = [format!("<{}>", self.0).as_bytes(), line].concat();
        io::stderr().write_all(&whole)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Everything is served.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// The configuration is read anew.
pub fn reloading() {
    say(&[NotifyState::Reloading]);
}

/// The end has begun.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Says the status line each time something has changed, and pings the watchdog as often as it wants, as long as the engine
/// answers. Ends when the engine does.
pub(crate) async fn speak(desk: Desk, changed: Arc<Notify>) -> Problem {
    let patience = sd_notify::watchdog_enabled().map(|patience| patience / 2);
    // A moment, not a span: changes that follow each other must not put the ping off for ever.
    let mut next = patience.map(|patience| Instant::now() + patience);
    loop {
        let ping = async {
            match next {
                Some(moment) => sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        let problem = tokio::select! {
            () = changed.notified() => {
                tokio::time::sleep(GATHER).await;
                line(&desk).await.err()
            }
            () = ping => {
                let alive = desk.engine.read(|_| ()).await;
                say(&[NotifyState::Watchdog]);
                next = patience.map(|patience| Instant::now() + patience);
                alive.err()
            }
        };
        if let Some(problem) = problem {
            return problem;
        }
    }
}

async fn line(desk: &Desk) -> Result<(), Problem> {
    let household = desk.household.clone();
    let (view, now) = desk.engine.read(move |state| (views::status(state, &household), state.now())).await?;
    say(&[NotifyState::Status(&text().in_zone(*now.offset()).service_line(&view, now.to_utc()))]);
    Ok(())
}

/// A problem at the start, as whoever started the daemon reads it: what happened, what to do.
pub fn advice(problem: &Problem) -> Advice {
    text().problem(&views::problem(problem))
}

/// The language of a service is that of its environment.
pub fn text() -> Text {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok());
    Text::for_environment(locale.as_deref().unwrap_or_default())
}

fn say(states: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing; with one that does not answer, systemd will notice by itself.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
