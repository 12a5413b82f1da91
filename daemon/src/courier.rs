//! The daemon's side of obnova-courier, the one program that speaks with the network and opens mails: starts a process for each errand
//! and waits for what it brings, under a deadline. The libraries behind it, and whoever may break one of them by what they send,
//! have neither the daemon's memory nor its state; and a daemon that sends for nothing pays nothing for them.

pub mod protocol;

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::mail::Facts;
use obnova_core::revocation::Why;
use obnova_secret::Secret;
use tokio::time::{Instant, timeout, timeout_at};

use crate::companions::{Bytes, Companion};
use protocol::{Answer, Call, Dispatch, Errand, Host, Names, News, Post, Report, Source, Undispatched, Unread};

/// How long the courier has for what is no server's time: to start, and to end.
const MARGIN: Duration = Duration::from_secs(10);

/// How long it may take to find out about one mail. The questions to the domain name system are bounded each.
const READING: Duration = Duration::from_mins(3);

/// The means of starting obnova-courier. Every method starts one process and ends with its end.
///
/// A future that is dropped ends its courier; what a server has received by then it has received.
#[derive(Clone, Debug)]
pub struct Courier {
    program: PathBuf,
    names: Names,
}

/// The courier brought nothing that can be used.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("obnova-courier does not start")]
    Start(#[source] io::Error),
    #[error("obnova-courier brings nothing")]
    Exchange(#[from] io::Error),
    #[error("obnova-courier brings nothing in time")]
    Late,
    #[error("obnova-courier is of another version: {0}")]
    Refused(String),
    #[error("obnova-courier brings what cannot be read")]
    Report(#[from] serde_json::Error),
}

impl Courier {
    /// The courier at a path, which asks these about names.
    pub fn at(program: impl Into<PathBuf>, names: Names) -> Self {
        Self { program: program.into(), names }
    }

    /// Asks a server where nobody logs in, and waits for its answer.
    pub async fn ask(&self, call: Call) -> Result<Answer, Problem> {
        debug_assert_eq!(call.login, None);
        match self.begin(call).await?.next().await {
            Turn::Over(answer) => answer,
            Turn::Sign(_) => Err(Lost::Refused("login".into()).told()),
        }
    }

    /// Begins to ask a server. Dropped, the call is given up; what the server has received of it by then it has received.
    pub async fn begin(&self, call: Call) -> Result<Exchange, Problem> {
        let patience = call.deadline() + MARGIN;
        let courier = self.send(&Errand::Ask { call }).await.map_err(|lost| lost.told())?;
        Ok(Exchange { courier, end: Instant::now() + patience })
    }

    /// Fetches what an address out of a certificate leads to, or says why there is nothing.
    pub async fn fetch(&self, source: Source) -> Result<Result<Vec<u8>, Why>, Problem> {
        let end = Instant::now() + Duration::from_secs(source.seconds.into()) + MARGIN;
        let fetched = async { report(&mut self.send(&Errand::Fetch { source }).await?, end).await };
        match fetched.await.map_err(|lost| lost.told())? {
            Report::Fetched(fetched) => Ok(fetched.map(|bytes| bytes.0)),
            other => Err(odd(&other).told()),
        }
    }

    /// Sends a mail, once. The password goes from its page to the courier.
    pub async fn dispatch(&self, dispatch: Dispatch, password: Option<&Secret>) -> Result<Result<(), Undispatched>, Problem> {
        let end = Instant::now() + Dispatch::DEADLINE + MARGIN;
        let dispatched = async {
            let mut courier = self.send(&Errand::Dispatch { dispatch }).await?;
            timeout(MARGIN, courier.send(password.map_or(&[], Secret::expose))).await.map_err(|_| Lost::Late)??;
            report(&mut courier, end).await
        };
        match dispatched.await.map_err(|lost| lost.told())? {
            Report::Dispatched(dispatched) => Ok(dispatched),
            other => Err(odd(&other).told()),
        }
    }

    /// Finds out what there is to know about a mail that came at `arrived`.
    pub async fn read(&self, mail: &[u8], arrived: DateTime<Utc>) -> Result<Result<Box<Facts>, Unread>, Problem> {
        self.reader().await?.read(mail, arrived).await
    }

    /// A courier that reads several mails, one after the other; it ends when it is dropped.
    pub async fn reader(&self) -> Result<Reader, Problem> {
        let errand = Errand::Read { names: self.names.clone() };
        self.send(&errand).await.map(Reader).map_err(|lost| lost.told())
    }

    /// Sends one to read a mailbox as long as the connection lasts; dropped, it ends.
    pub async fn keep(&self, post: Post, secret: &Secret) -> Result<Keeping, Problem> {
        let errand = Errand::Keep { post: Box::new(post) };
        let kept = async {
            let mut courier = self.send(&errand).await?;
            timeout(MARGIN, courier.send(secret.expose())).await.map_err(|_| Lost::Late)??;
            Ok::<_, Lost>(Keeping(courier))
        };
        kept.await.map_err(|lost| lost.told())
    }

    /// Finds the mail server that a domain names for its addresses.
    pub async fn mail_server(&self, domain: String) -> Result<Option<Host>, Problem> {
        let errand = Errand::Find { domain, names: self.names.clone() };
        let found = async { report(&mut self.send(&errand).await?, Instant::now() + READING).await };
        match found.await.map_err(|lost| lost.told())? {
            Report::Found(found) => Ok(found),
            other => Err(odd(&other).told()),
        }
    }

    /// Whom it asks about names.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    async fn send(&self, errand: &Errand) -> Result<Companion, Lost> {
        let errand = serde_json::to_vec(errand)?;
        let mut courier = Companion::start(&self.program, [("", ""); 0], Stdio::inherit()).map_err(Lost::Start)?;
        timeout(MARGIN, courier.send(&errand)).await.map_err(|_| Lost::Late)??;
        Ok(courier)
    }
}

/// A courier that reads mails.
pub struct Reader(Companion);

impl Reader {
    /// Finds out what there is to know about a mail that came at `arrived`. After an error it reads no more.
    pub async fn read(&mut self, mail: &[u8], arrived: DateTime<Utc>) -> Result<Result<Box<Facts>, Unread>, Problem> {
        let read = async {
            let arrived = serde_json::to_vec(&arrived)?;
            let sent = async {
                self.0.send(&arrived).await?;
                self.0.send(mail).await
            };
            timeout(MARGIN, sent).await.map_err(|_| Lost::Late)??;
            report(&mut self.0, Instant::now() + READING + MARGIN).await
        };
        match read.await.map_err(|lost| lost.told())? {
            Report::Read(facts) => Ok(facts),
            other => Err(odd(&other).told()),
        }
    }
}

/// A courier that keeps a mailbox.
pub struct Keeping(Companion);

impl Keeping {
    /// Waits for what there is to tell, for days where nothing comes.
    pub async fn next(&mut self) -> Result<News, Problem> {
        let frame = self.0.receive().await.map_err(|error| Lost::Exchange(error).told())?;
        match serde_json::from_slice(&frame).map_err(|error| Lost::Report(error).told())? {
            Report::News(news) => Ok(news),
            other => Err(odd(&other).told()),
        }
    }
}

/// A call under way.
pub struct Exchange {
    courier: Companion,
    end: Instant,
}

/// What happens next in a call.
pub enum Turn {
    /// The key of the login is to sign this; see [`Report::Sign`].
    Sign(Bytes),
    /// It is over.
    Over(Result<Answer, Problem>),
}

impl Exchange {
    /// Waits for what happens next.
    pub async fn next(&mut self) -> Turn {
        match report(&mut self.courier, self.end).await {
            Ok(Report::Sign(message)) => Turn::Sign(message),
            Ok(Report::Answered(answer)) => Turn::Over(answer),
            Ok(other) => Turn::Over(Err(odd(&other).told())),
            Err(lost) => Turn::Over(Err(lost.told())),
        }
    }

    /// Hands a signature over.
    pub async fn give(&mut self, signature: &[u8]) -> Result<(), Problem> {
        self.courier.send(signature).await.map_err(|error| Lost::Exchange(error).told())
    }
}

async fn report(courier: &mut Companion, end: Instant) -> Result<Report, Lost> {
    Ok(serde_json::from_slice(&timeout_at(end, courier.receive()).await.map_err(|_| Lost::Late)??)?)
}

fn odd(report: &Report) -> Lost {
    Lost::Refused(match report {
        Report::Refused(detail) => detail.clone(),
        other => format!("{other:?}"),
    })
}

impl Lost {
    fn told(&self) -> Problem {
        let cause = self.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Problem::Internal { detail: format!("{self}{cause}") }
    }
}
