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
use tokio::time::timeout;

use crate::companions::Companion;
use protocol::{Answer, Call, Errand, Names, Report, Unread};

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
    #[error("obnova-courier brings nothing within {0:?}")]
    Late(Duration),
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

    /// Asks a server, and waits for its answer.
    pub async fn ask(&self, call: Call) -> Result<Answer, Problem> {
        let patience = Duration::from_secs(call.seconds.into()) + MARGIN;
        match self.send(&Errand::Ask { call }, None, patience).await.map_err(|lost| lost.told())? {
            Report::Answered(answer) => answer,
            other => Err(odd(&other).told()),
        }
    }

    /// Finds out what there is to know about a mail that came at `arrived`.
    pub async fn read(&self, mail: &[u8], arrived: DateTime<Utc>) -> Result<Result<Box<Facts>, Unread>, Problem> {
        let errand = Errand::Read { arrived, names: self.names.clone() };
        match self.send(&errand, Some(mail), READING + MARGIN).await.map_err(|lost| lost.told())? {
            Report::Read(facts) => Ok(facts),
            other => Err(odd(&other).told()),
        }
    }

    async fn send(&self, errand: &Errand, bytes: Option<&[u8]>, patience: Duration) -> Result<Report, Lost> {
        let errand = serde_json::to_vec(errand)?;
        let mut courier = Companion::start(&self.program, [("", ""); 0], Stdio::inherit()).map_err(Lost::Start)?;
        let exchange = async {
            courier.send(&errand).await?;
            if let Some(bytes) = bytes {
                courier.send(bytes).await?;
            }
            courier.receive().await
        };
        let report = timeout(patience, exchange).await;
        courier.end().await?;
        Ok(serde_json::from_slice(&report.map_err(|_| Lost::Late(patience))??)?)
    }
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
