//! `org.obnova.Manager1`: items and what is done about them, page by page.

use chrono::DateTime;
use obnova_api::dict::Dictionary;
use obnova_api::{
    AgentOptions, CheckView, Error, ItemView, LetterView, LogView, MailboxOptions, Options, PAGE, ProgrammeView, QuestionView,
    Result, StatusView,
};
use obnova_core::programme::ProgrammeError;
use obnova_core::{ItemId, Place, Problem, Programme};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue};

use super::admission::{Extent, Right};
use super::{Desk, log, views};
use crate::engine::{State, journal_problem};
use crate::journal::Query;

/// The most lines that one call of `Log` returns.
const LOG_PAGE: u32 = 1000;

/// The longest text that is read as a programme, in bytes.
const LONGEST_PROGRAMME: usize = 64 * 1024;

/// The manager on the bus.
pub(super) struct Manager {
    desk: Desk,
}

impl Manager {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

#[zbus::interface(name = "org.obnova.Manager1")]
impl Manager {
    async fn items(
        &self,
        filter: Dictionary,
        after: &str,
        limit: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<ItemView>, String)> {
        let extent = self.desk.extent(&header).await?;
        let all = flag(&filter, "all")?;
        let kind = text(&filter, "kind")?;
        let asked = after.to_owned();
        let after = if after.is_empty() { None } else { Some(After::parse(after)?) };
        let limit = limit.min(PAGE) as usize;
        if kind.as_deref() == Some("card") {
            let page = self.desk.cards_page(after.map(|after| after.id), limit).await.map_err(wire)?;
            return Ok(cut(page, extent));
        }
        let household = self.desk.household.clone();
        let page = self.desk.engine.read(move |state| page(state, all, kind.as_deref(), after, limit, &household));
        let page = page.await.map_err(wire)?.ok_or_else(|| no_such_item(&asked))?;
        Ok(cut(page, extent))
    }

    async fn item(&self, id: &str, #[zbus(header)] header: Header<'_>) -> Result<ItemView> {
        let extent = self.desk.extent(&header).await?;
        let parsed = parse_id(id)?;
        let household = self.desk.household.clone();
        let view = self.desk.engine.read(move |state| {
            let item = state.world.item(parsed, state.now())?;
            Some(views::item(&item, &state.world, &household))
        });
        let view = match view.await.map_err(wire)? {
            Some(view) => Some(view),
            None => self.desk.card(parsed).await.map_err(wire)?,
        };
        Ok(extent.of(view.ok_or_else(|| no_such_item(id))?, views::outline))
    }

    async fn act(
        &self,
        id: &str,
        action: &str,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &zbus::Connection,
    ) -> Result<OwnedObjectPath> {
        let requester = self.desk.admit(&header, right_to(action)).await?;
        let job = self.desk.act(parse_id(id)?, action, &options, requester).await.map_err(wire)?;
        let path = match job {
            Some(number) => {
                super::job::serve(connection, &self.desk, number).await?;
                views::job_path(number)
            }
            None => "/".to_owned(),
        };
        OwnedObjectPath::try_from(path).map_err(|error| Error::Bus(error.into()))
    }

    async fn plan(&self, id: &str, options: Options, #[zbus(header)] header: Header<'_>) -> Result<QuestionView> {
        let requester = self.desk.admit(&header, Right::Act).await?;
        self.desk.plan(parse_id(id)?, options.to, requester).await.map_err(wire)
    }

    async fn watch(&self, place: &str, options: Options, #[zbus(header)] header: Header<'_>) -> Result<Vec<String>> {
        let requester = self.desk.admit(&header, Right::Configure).await?;
        if let Some(option) = options.to.map(|_| "to").or(options.until.map(|_| "until")) {
            return Err(Error::new("invalid-argument", [("argument", option.to_owned()), ("value", "watch".to_owned())]));
        }
        if place.starts_with("maildir:") {
            let none = MailboxOptions::default();
            return Ok(vec![self.desk.add_mailbox(place, &none, &requester).await.map_err(wire)?.to_string()]);
        }
        let place = Place::parse(place)
            .map_err(|error| wire(Problem::InvalidPlace { place: place.to_owned(), reason: error.to_string() }))?;
        let ids = self.desk.watch(place, &requester).await.map_err(wire)?;
        Ok(ids.iter().map(ToString::to_string).collect())
    }

    async fn unwatch(&self, id: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.desk.admit(&header, Right::Configure).await?;
        self.desk.unwatch(parse_id(id)?).await.map_err(wire)
    }

    async fn discover(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<ItemView>> {
        self.desk.admit(&header, Right::Configure).await?;
        self.desk.discover().await.map_err(wire)
    }

    async fn programmes(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<ProgrammeView>> {
        self.desk.admit(&header, Right::Look).await?;
        let all = |state: &mut State| state.world.programmes().iter().map(views::programme).collect();
        self.desk.engine.read(all).await.map_err(wire)
    }

    #[expect(clippy::unused_self, reason = "zbus hands it over")]
    fn check_programme(&self, file: &str, text: &str) -> Result<ProgrammeView> {
        if text.len() > LONGEST_PROGRAMME {
            return Err(Error::new("invalid-argument", [("argument", "text".to_owned()), ("value", file.to_owned())]));
        }
        let mistake = |error: ProgrammeError| {
            wire(Problem::ProgrammeMistake {
                file: error.file,
                line: error.line.to_string(),
                column: error.column.to_string(),
                message: error.message,
            })
        };
        Programme::parse(file, text).map(|programme| views::programme(&programme)).map_err(mistake)
    }

    async fn status(&self, #[zbus(header)] header: Header<'_>) -> Result<StatusView> {
        let extent = self.desk.extent(&header).await?;
        let household = self.desk.household.clone();
        let status = self.desk.engine.read(move |state| views::status(state, &household)).await.map_err(wire)?;
        Ok(extent.of(status, views::outline_of_status))
    }

    async fn doctor(&self, id: &str, #[zbus(header)] header: Header<'_>) -> Result<Vec<CheckView>> {
        self.desk.admit(&header, Right::Look).await?;
        let of = if id.is_empty() { None } else { Some(parse_id(id)?) };
        self.desk.doctor(of).await.map_err(wire)
    }

    async fn read_mail(&self, name: &str, mail: OwnedFd, #[zbus(header)] header: Header<'_>) -> Result<Vec<LetterView>> {
        self.desk.admit(&header, Right::Act).await?;
        self.desk.read_mail(name, mail).await.map_err(wire)
    }

    async fn add_mailbox(&self, mailbox: &str, options: MailboxOptions, #[zbus(header)] header: Header<'_>) -> Result<String> {
        let requester = self.desk.admit(&header, Right::Configure).await?;
        Ok(self.desk.add_mailbox(mailbox, &options, &requester).await.map_err(wire)?.to_string())
    }

    async fn judge_mail(
        &self,
        file: &str,
        programme: &str,
        name: &str,
        mail: OwnedFd,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<LetterView>> {
        self.desk.admit(&header, Right::Act).await?;
        self.desk.judge_mail(file, programme, name, mail).await.map_err(wire)
    }

    async fn log(
        &self,
        filter: Dictionary,
        after: u64,
        limit: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<LogView>> {
        self.desk.admit(&header, Right::Look).await?;
        let since = text(&filter, "since")?.map(|text| parse_time("since", &text)).transpose()?;
        let last = filter.get("last").map(|value| u32::try_from(value).map_err(|_| wrong("last"))).transpose()?;
        let query = Query { after, since, last, limit: limit.min(LOG_PAGE) };
        let entries = self.desk.engine.journal().read(query).await.map_err(|error| wire(journal_problem(&error)))?;
        let lines = self.desk.engine.read(move |state| entries.iter().map(|entry| log::line(entry, &state.world)).collect());
        lines.await.map_err(wire)
    }

    async fn register_agent(
        &self,
        path: ObjectPath<'_>,
        options: AgentOptions,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        let requester = self.desk.admit(&header, Right::Act).await?;
        self.desk.agents.register(requester, path.into_owned().into(), &options).await?;
        if options.notifies.unwrap_or(false) {
            self.desk.engine.greet().await.map_err(wire)?;
        }
        Ok(())
    }

    async fn unregister_agent(&self, path: ObjectPath<'_>, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let requester = self.desk.admit(&header, Right::Act).await?;
        self.desk.agents.unregister(&requester, &path.into_owned().into()).await;
        Ok(())
    }

    #[zbus(signal)]
    pub(super) async fn changed(emitter: &SignalEmitter<'_>, ids: Vec<String>, revision: u64) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn removed(emitter: &SignalEmitter<'_>, ids: Vec<String>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn noticed(emitter: &SignalEmitter<'_>, id: String, event: String, level: String) -> zbus::Result<()>;
}

/// What an action needs: to take an item out of sight or another into it is to say what is watched, and a copy of a key is more
/// than its use.
fn right_to(action: &str) -> Right {
    if matches!(action, "unwatch" | "adopt" | "backup") { Right::Configure } else { Right::Act }
}

/// A page as far as the caller sees it.
fn cut((items, next): (Vec<ItemView>, String), extent: Extent) -> (Vec<ItemView>, String) {
    (items.into_iter().map(|item| extent.of(item, views::outline)).collect(), next)
}

/// Where a page begins: behind an item, which a page before names together with its position, should it have gone meanwhile.
#[derive(Clone, Copy)]
struct After {
    id: ItemId,
    passed: Option<usize>,
}

impl After {
    fn parse(text: &str) -> Result<Self> {
        let (id, passed) = match text.split_once(':') {
            Some((id, passed)) => (id, Some(passed.parse().map_err(|_| no_such_item(text))?)),
            None => (text, None),
        };
        Ok(Self { id: parse_id(id)?, passed })
    }
}

/// A page of the listing; `None` where it is to begin behind an item that is not there.
fn page(
    state: &mut State,
    all: bool,
    kind: Option<&str>,
    after: Option<After>,
    limit: usize,
    household: &views::Household,
) -> Option<(Vec<ItemView>, String)> {
    let ids = if kind == Some("renewal") { state.world.renewals().into() } else { state.listing(all) };
    let from = match after {
        None => 0,
        Some(After { id, passed }) => match ids.iter().position(|other| *other == id) {
            Some(position) => position + 1,
            // What stood behind it has moved up into its place.
            None => passed?.saturating_sub(1).min(ids.len()),
        },
    };
    let now = state.now();
    let mut items = Vec::new();
    let mut rest = (from + 1..).zip(&ids[from..]);
    let mut last = None;
    for (passed, id) in rest.by_ref() {
        let Some(item) = state.world.item(*id, now) else { continue };
        if kind.is_some_and(|kind| item.kind.as_str() != kind) {
            continue;
        }
        items.push(views::item(&item, &state.world, household));
        if items.len() >= limit.max(1) {
            last = Some(format!("{id}:{passed}"));
            break;
        }
    }
    let next = last.filter(|_| rest.next().is_some()).unwrap_or_default();
    Some((items, next))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn wire(problem: Problem) -> Error {
    views::error(&problem)
}

fn parse_id(id: &str) -> Result<ItemId> {
    id.parse().map_err(|_| no_such_item(id))
}

fn no_such_item(id: &str) -> Error {
    Error::new("no-such-item", [("id", id.to_owned())])
}

pub(super) fn parse_time(argument: &str, value: &str) -> Result<DateTime<chrono::Utc>> {
    DateTime::parse_from_rfc3339(value)
        .map(|time| time.to_utc())
        .map_err(|_| Error::new("invalid-argument", [("argument", argument.to_owned()), ("value", value.to_owned())]))
}

fn flag(filter: &Dictionary, key: &str) -> Result<bool> {
    filter.get(key).map_or(Ok(false), |value| bool::try_from(value).map_err(|_| wrong(key)))
}

fn text(filter: &Dictionary, key: &str) -> Result<Option<String>> {
    let text = |value: &OwnedValue| <&str>::try_from(value).map(str::to_owned).map_err(|_| wrong(key));
    filter.get(key).map(text).transpose()
}

fn wrong(key: &str) -> Error {
    Error::new("invalid-argument", [("argument", key.to_owned()), ("value", "filter".to_owned())])
}
