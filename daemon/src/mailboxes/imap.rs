//! A mailbox on a server, for ever: a courier keeps the connection, and this sends it anew when it has come back. Owns when that is. What is
//! said to the server is the courier's.
//!
//! Nothing is hammered: each failure doubles the pause, up to a quarter of an hour, and a login that was refused is not tried again before
//! somebody has done something about it, because servers lock accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use obnova_core::Problem;
use obnova_core::mailbox::{Imap, Standing};
use obnova_secret::Secret;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{Tools, network, secrets};
use crate::courier::protocol::{FolderMark, News, Post, Server};
use crate::journal::Mark;

/// How old a mail may be that is still read.
const RECENT: TimeDelta = TimeDelta::days(60);

/// How long after a start or a sleep of the computer a server need not be there: networks take their time.
const GRACE: Duration = Duration::from_mins(2);

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(15));

/// How long a connection must have stood so that the next pause is the first again.
const STEADY: Duration = Duration::from_mins(5);

/// How long it may take until a mailbox is open. The courier's own bounds are below.
const OPENING: Duration = Duration::from_mins(4);

/// How often the courier may fail on one mail.
const MOST_FAILURES: u32 = 2;

/// Reads a mailbox for ever. `again`: somebody wants it tried now. `moved`: the clock has jumped, mostly because the computer slept.
pub(super) async fn keep(tools: &Tools, imap: Imap, address: String, again: Arc<Notify>, mut moved: watch::Receiver<u64>) {
    let mut keeper = Keeper { tools, imap, address, failures: BTreeMap::new() };
    let mut pause = Pause::default();
    let mut grace = Instant::now() + GRACE;
    loop {
        let begun = Instant::now();
        let problem = tokio::select! {
            problem = keeper.session() => problem,
            () = again.notified() => continue,
            slept = moved.changed() => {
                if slept.is_err() {
                    return;
                }
                // The server has long given the connection up, or the network is another one.
                pause = Pause::default();
                grace = Instant::now() + GRACE;
                if keeper.is_reached().await && tools.stands(&keeper.address, Standing::Connecting).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if begun.elapsed() > STEADY {
            pause = Pause::default();
        }
        let unreached = matches!(problem, Problem::MailUnreachable { .. });
        let told = if unreached && Instant::now() < grace {
            tools.stands(&keeper.address, Standing::Connecting).await
        } else {
            tools.apart(&keeper.address, problem.clone()).await
        };
        if told.is_err() {
            return;
        }
        let waits_for_somebody = matches!(problem, Problem::MailRefused { .. } | Problem::MailSecret { .. });
        let span = pause.next();
        tokio::select! {
            () = again.notified() => pause = Pause::default(),
            slept = moved.changed(), if !waits_for_somebody => {
                if slept.is_err() {
                    return;
                }
                (pause, grace) = (Pause::default(), Instant::now() + GRACE);
            }
            () = network::changes(), if unreached => pause = Pause::default(),
            () = sleep(span), if !waits_for_somebody => {}
        }
    }
}

/// Looks whether a mailbox can be read with this secret.
pub(super) async fn test(tools: &Tools, imap: &Imap, secret: &Secret) -> Result<(), Problem> {
    let (marks, passed) = (BTreeMap::new(), Vec::new());
    let (since, names) = (chrono::DateTime::UNIX_EPOCH, tools.courier.names());
    let post = Post { server: server(imap).await?, marks, since, names, passed };
    let opened = async {
        let mut courier = tools.courier.keep(post, secret).await?;
        loop {
            match courier.next().await? {
                News::Over(problem) => return Err(problem),
                News::Connected { .. } => return Ok(()),
                _ => {}
            }
        }
    };
    timeout(OPENING, opened).await.map_err(|_| late(imap))?
}

fn late(imap: &Imap) -> Problem {
    Problem::MailUnreachable { host: imap.server(), detail: std::io::ErrorKind::TimedOut.to_string() }
}

/// How the courier is told of it.
async fn server(imap: &Imap) -> Result<Server, Problem> {
    /// The longest file of anchors, in bytes.
    const LONGEST: u64 = 1024 * 1024;
    let anchors = match imap.anchors.clone() {
        None => None,
        Some(path) => {
            let read = super::blocking({
                let path = path.clone();
                move || {
                    let file = std::fs::File::open(&path)?;
                    let mut pem = Vec::new();
                    std::io::Read::read_to_end(&mut std::io::Read::take(file, LONGEST), &mut pem)?;
                    Ok::<_, std::io::Error>(pem)
                }
            });
            let pem = read.await?.map_err(|error| crate::stores::unreadable(std::path::Path::new(&path), &error))?;
            Some(pem.into())
        }
    };
    let Imap { user, host, port, security, login, .. } = imap.clone();
    Ok(Server { user, host, port, security, login, anchors })
}

struct Keeper<'tools> {
    tools: &'tools Tools,
    imap: Imap,
    address: String,
    /// The mails on which a courier has failed, and how often.
    failures: BTreeMap<(String, u32), u32>,
}

impl Keeper<'_> {
    /// Reads as long as the connection lasts; why it ended.
    async fn session(&mut self) -> Problem {
        match self.read().await {
            Ok(problem) | Err(problem) => problem,
        }
    }

    async fn read(&mut self) -> Result<Problem, Problem> {
        let secret = secrets::find(self.tools, &self.imap, &self.address).await?;
        let now = self.tools.engine.read(|state| state.now().to_utc()).await?;
        let passed = self.failures.iter().filter(|(_, count)| **count >= MOST_FAILURES).map(|(mail, _)| mail.clone());
        let post = Post {
            server: server(&self.imap).await?,
            marks: self.marks().await?,
            since: now - RECENT,
            names: self.tools.courier.names(),
            passed: passed.collect(),
        };
        let mut courier = self.tools.courier.keep(post, &secret).await?;
        drop(secret);
        let mut begun = None;
        let mut opened = false;
        loop {
            let next = if opened {
                courier.next().await
            } else {
                timeout(OPENING, courier.next()).await.map_err(|_| late(&self.imap))?
            };
            let news = match next {
                Ok(News::Over(problem)) if matches!(problem, Problem::MailUnreachable { .. }) => return Ok(problem),
                Ok(News::Over(problem)) | Err(problem) => {
                    // It may be the mail that it was at.
                    if let Some(mail) = begun {
                        *self.failures.entry(mail).or_default() += 1;
                    }
                    return Ok(problem);
                }
                Ok(news) => news,
            };
            match news {
                News::Connected { pushes } => {
                    opened = true;
                    tracing::debug!(pushes, "a mailbox is read");
                    self.tools.stands(&self.address, Standing::Connected).await?;
                }
                News::Begun { folder, uid } => begun = Some((folder, uid)),
                News::Mail { facts } => {
                    begun = None;
                    self.tools.take(*facts).await?;
                }
                News::Mark { folder, mark } => {
                    begun = None;
                    self.mark(folder, &mark).await?;
                }
                News::Over(problem) => return Ok(problem),
            }
        }
    }

    async fn marks(&self) -> Result<BTreeMap<String, FolderMark>, Problem> {
        let marks = self.tools.marks(&self.address).await?;
        Ok(marks.into_iter().filter_map(|mark| Some((mark.name, serde_json::from_str(&mark.value).ok()?))).collect())
    }

    async fn mark(&self, folder: String, mark: &FolderMark) -> Result<(), Problem> {
        let value = serde_json::to_string(mark).map_err(|error| Problem::Internal { detail: error.to_string() })?;
        let at = self.tools.engine.read(|state| state.now().to_utc()).await?;
        self.tools.mark(&self.address, vec![Mark { name: folder, at, value }]).await
    }

    async fn is_reached(&self) -> bool {
        let address = self.address.clone();
        let connected = self.tools.engine.read(move |state| {
            state.world.mailbox_standings().any(|(mailbox, standing)| mailbox.address() == address && standing.is_connected())
        });
        connected.await.unwrap_or(false)
    }
}

/// The pauses between tries: each twice the one before, and never the same for everybody.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    fn next(&mut self) -> Duration {
        let span = PAUSES.0.saturating_mul(1 << self.0.min(16)).min(PAUSES.1);
        self.0 = self.0.saturating_add(1);
        let [chance]: [u8; 1] = crate::random::bytes();
        span.mul_f64(0.75 + f64::from(chance) / 256.0 * 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut pause = Pause::default();
        let spans: Vec<Duration> = (0..40).map(|_| pause.next()).collect();
        assert!(spans[0] >= PAUSES.0.mul_f64(0.75) && spans[0] <= PAUSES.0.mul_f64(1.25), "{:?}", spans[0]);
        assert!(spans[5] > spans[0] && spans.iter().all(|span| *span <= PAUSES.1.mul_f64(1.25)));
        assert!(spans[39] >= PAUSES.1.mul_f64(0.75));
    }
}
