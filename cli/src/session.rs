//! One run: the connection to the daemon, where data and talk go, and the calls that every verb makes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{ItemView, ManagerProxy, PAGE, ProblemView};
use obnova_text::{Advice, Text};
use serde::Serializer;
use serde::de::DeserializeOwned;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::message::Message;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{DynamicType, OwnedValue, Type, Value};

use crate::Interrupted;
use crate::arguments::Global;
use crate::ending::Failure;

/// The way to the daemon, and whether and where a person can be asked.
pub(crate) struct Door {
    pub(crate) connection: Connection,
    pub(crate) manager: ManagerProxy<'static>,
    pub(crate) json: bool,
    pub(crate) secret_fd: Option<u32>,
    pub(crate) terminal: Option<PathBuf>,
}

/// One run of the command line.
pub(crate) struct Session<'a> {
    pub(crate) door: Door,
    pub(crate) text: Arc<Text>,
    pub(crate) now: DateTime<Utc>,
    /// Data may be coloured.
    pub(crate) colour: bool,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    pub(crate) interrupted: Interrupted,
}

impl Session<'_> {
    /// Connects to the bus that the options name, unless a connection is given.
    pub(crate) async fn open(
        global: Global,
        connection: Option<Connection>,
        terminal: Option<PathBuf>,
    ) -> Result<Door, Failure> {
        let connection = match (connection, &global.bus) {
            (Some(connection), _) => connection,
            (None, Some(address)) => connect(Builder::address(address.as_str())).await?,
            (None, None) if global.system => connect(Builder::system()).await?,
            (None, None) => connect(Builder::session()).await?,
        };
        let manager = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        Ok(Door { connection, manager, json: global.json, secret_fd: global.secret_fd, terminal })
    }

    /// A line of data.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// A value as JSON on one or more lines.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, value)?;
        writeln!(self.out)
    }

    /// A line of talk.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        // What was said before on the other stream is to be seen before.
        self.out.flush()?;
        writeln!(self.err, "{line}")
    }

    /// A line of talk that says what to do.
    pub(crate) fn hint(&mut self, hint: &str) -> io::Result<()> {
        let line = self.text.say("cli-hint", &[("hint", hint)]);
        self.tell(&line)
    }

    /// A failure that does not end the run.
    pub(crate) fn tell_failure(&mut self, failure: &Failure) -> io::Result<()> {
        self.out.flush()?;
        tell_failure(self.err, &self.text, failure, false)
    }

    /// What a call answers, to be read as often as needed.
    pub(crate) async fn call(
        &self,
        method: &'static str,
        body: &(impl serde::Serialize + DynamicType),
    ) -> Result<Message, Failure> {
        Ok(self.door.manager.inner().call_method(method, body).await?)
    }

    /// An item, as view and key by key.
    pub(crate) async fn item(&self, id: &str) -> Result<(ItemView, Dictionary), Failure> {
        let reply = self.call("Item", &(id,)).await?;
        Ok((read(&reply)?, read(&reply)?))
    }

    /// All items of a filter: as views, or key by key.
    pub(crate) async fn items<T: DeserializeOwned + Type>(&self, filter: &Dictionary) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        self.pages(filter, |reply| {
            let (page, next): (Vec<T>, String) = read(reply)?;
            all.extend(page);
            Ok(next)
        })
        .await?;
        Ok(all)
    }

    /// All items of a filter, both ways.
    pub(crate) async fn items_both_ways(&self, filter: &Dictionary) -> Result<Vec<(ItemView, Dictionary)>, Failure> {
        let mut all = Vec::new();
        self.pages(filter, |reply| {
            let (views, next): (Vec<ItemView>, String) = read(reply)?;
            let (keys, _): (Vec<Dictionary>, String) = read(reply)?;
            all.extend(views.into_iter().zip(keys));
            Ok(next)
        })
        .await?;
        Ok(all)
    }

    /// Asks for page after page; `take` says where the next one begins.
    async fn pages(
        &self,
        filter: &Dictionary,
        mut take: impl FnMut(&Message) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let reply = self.call("Items", &(filter, &after, PAGE)).await?;
            after = take(&reply)?;
            if after.is_empty() {
                return Ok(());
            }
        }
    }

    /// Items key by key as a JSON array.
    pub(crate) fn json_array(&mut self, items: &[Dictionary]) -> io::Result<()> {
        // One after the other: a thousand items are not held a second time.
        serde_json::Serializer::pretty(&mut self.out).collect_seq(items.iter().map(to_json))?;
        writeln!(self.out)
    }
}

/// Reads the body of a reply.
pub(crate) fn read<T: DeserializeOwned + Type>(reply: &Message) -> Result<T, Failure> {
    reply.body().deserialize().map_err(Failure::from)
}

/// A filter or other dictionary of plain values.
pub(crate) fn dictionary<const N: usize>(entries: [(&str, Value<'static>); N]) -> Result<Dictionary, Failure> {
    entries
        .into_iter()
        .map(|(key, value)| Ok((key.to_owned(), OwnedValue::try_from(value).map_err(zbus::Error::from)?)))
        .collect()
}

/// Says what failed: a sentence and a `hint:` line.
pub(crate) fn tell_failure(err: &mut dyn Write, text: &Text, failure: &Failure, system: bool) -> io::Result<()> {
    if matches!(failure, Failure::Told)
        || matches!(failure, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    {
        return Ok(());
    }
    let advice = advice(text, failure, system);
    writeln!(err, "{}", text.say("cli-error", &[("sentence", &advice.sentence)]))?;
    writeln!(err, "{}", text.say("cli-hint", &[("hint", &advice.hint)]))
}

/// What failed, and what to do.
pub(crate) fn advice(text: &Text, failure: &Failure, system: bool) -> Advice {
    let ours = |kind: &str| ProblemView { kind: kind.into(), ..Default::default() };
    match failure {
        Failure::Problem(problem, Some(name)) => text.problem_of(name, problem),
        Failure::Problem(problem, None) => text.problem(problem),
        Failure::Unreachable(_) if system => text.problem(&ours("unreachable-system")),
        Failure::Unreachable(_) => text.problem(&ours("unreachable")),
        Failure::Lost | Failure::Told => text.problem(&ours("connection-lost")),
        Failure::Output(error) => {
            let mut problem = ours("output");
            problem.args.insert("detail".into(), error.to_string());
            text.problem(&problem)
        }
    }
}

async fn connect(builder: zbus::Result<Builder<'_>>) -> Result<Connection, Failure> {
    let connected = async { builder?.build().await }.await;
    // Whatever keeps us from the bus keeps us from the daemon.
    connected.map_err(|error| Failure::Unreachable(Box::new(error)))
}
