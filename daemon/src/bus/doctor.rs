//! Whether renewals can succeed, looked at before one begins: readers, cards, room for new keys, programmes, places, the clock. Changes
//! nothing, and sends no secret. What is looked at is gathered first; what follows from it is one pure function.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use obnova_api::CheckView;
use obnova_core::card::{Card, Presence, Room, Spot, Tries};
use obnova_core::identity::Member;
use obnova_core::item::{Item, Kind};
use obnova_core::mailbox::Standing;
use obnova_core::programme::Consumer;
use obnova_core::{Certificate, ItemId, Level, Mailbox, Now, Place, Problem, Programme, World};

use super::{Desk, cards, views};
use crate::cards::census::Census;
use crate::cards::readers::Service;
use crate::cards::step::CardError;
use crate::consumers::nss;
use crate::credentials::{Credentials, Named};
use crate::engine::journal_problem;
use crate::journal::Query;
use crate::runner::trouble;

mod revocation;

/// So far the clock may have been set back without a word: clocks are set right all the time.
const SET_RIGHT: TimeDelta = TimeDelta::hours(1);

impl Desk {
    /// Looks at everything that a renewal of this item stands on; `None`: of all that is due.
    pub(super) async fn doctor(&self, of: Option<ItemId>) -> Result<Vec<CheckView>, Problem> {
        let newest = Query { after: 0, since: None, last: Some(1), limit: 1 };
        let newest = self.engine.journal().read(newest).await.map_err(|error| journal_problem(&error))?;
        let written = newest.last().map(|entry| entry.at);
        let census = self.cards.census().await;
        let uses = tokio::task::spawn_blocking(nss::uses).await;
        let uses = uses.map_err(|error| Problem::Internal { detail: error.to_string() })?;
        let (credentials, told) = (self.credentials.clone(), self.herald.state());
        let checks = self.engine.read(move |state| {
            let listing = state.listing(false);
            let scope = Scope::new(of, &listing, &census, &state.world, state.now())?;
            let subject =
                Subject { world: &state.world, now: state.now(), census: &census, uses: &uses, written, listing: &listing };
            let mut checks = checks(&subject, &scope);
            checks.extend(handed_over(&credentials, &scope));
            checks.extend(told.into_iter().filter(|_| scope.only.is_none()).map(|(path, failure)| executable(&path, failure)));
            Ok(checks)
        });
        checks.await?
    }
}

/// What is known.
struct Subject<'a> {
    world: &'a World,
    now: Now,
    census: &'a Census,
    /// Which certificates other programs will use.
    uses: &'a [nss::Use],
    /// When the journal was last written.
    written: Option<DateTime<Utc>>,
    /// The items that are shown.
    listing: &'a [ItemId],
}

/// What is asked for.
struct Scope {
    /// The identities whose renewal is looked at.
    identities: Vec<ItemId>,
    /// Only these cards and places; `None`: all.
    only: Option<BTreeSet<Place>>,
    /// This mailbox.
    mailbox: Option<ItemId>,
}

impl Scope {
    fn new(of: Option<ItemId>, listing: &[ItemId], census: &Census, world: &World, now: Now) -> Result<Self, Problem> {
        let Some(id) = of else {
            let items = listing.iter().filter_map(|id| world.item(*id, now));
            let due = items.filter(|item| item.level > Level::Ok && matches!(item.kind, Kind::Identity { .. }));
            return Ok(Self { identities: due.map(|item| item.id).collect(), only: None, mailbox: None });
        };
        let only = |places: Vec<Place>| Some(places.into_iter().collect());
        match world.item(id, now).map(|item| item.kind) {
            Some(Kind::Identity { .. }) => {
                Ok(Self { identities: vec![id], only: only(world.places_of_item(id)), mailbox: None })
            }
            Some(Kind::Renewal { identity, .. }) => {
                Ok(Self { identities: vec![identity], only: only(world.places_of_item(identity)), mailbox: None })
            }
            Some(Kind::Mailbox { .. }) => Ok(Self { identities: Vec::new(), only: Some(BTreeSet::new()), mailbox: Some(id) }),
            Some(Kind::Place(place)) => Ok(Self { identities: Vec::new(), only: only(vec![place]), mailbox: None }),
            None => {
                let seen = world.places().chain(census.cards.iter().map(|card| &card.place));
                let place = seen.into_iter().find(|place| world.place_id(place) == id).cloned();
                let place = place.ok_or_else(|| Problem::NoSuchItem { id: id.to_string() })?;
                Ok(Self { identities: Vec::new(), only: Some(BTreeSet::from([place])), mailbox: None })
            }
        }
    }

    fn covers(&self, place: &Place) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| place.is_within(wanted)))
    }

    /// Whether readers and modules matter for it.
    fn needs_cards(&self) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|place| place.scheme().is_card()))
    }
}

fn checks(subject: &Subject<'_>, scope: &Scope) -> Vec<CheckView> {
    let mut checks = vec![clock(subject)];
    if scope.needs_cards() {
        checks.extend(readers(subject));
        checks.extend(subject.census.modules.iter().map(|(path, error)| module(&path.display().to_string(), error.as_ref())));
        for card in subject.census.cards.iter().filter(|card| scope.covers(&card.place)) {
            checks.extend(of_card(subject, card));
        }
        // Where an identity is asked about, its card is looked for with it.
        for place in scope.only.iter().flatten().filter(|place| place.scheme().is_card() && scope.identities.is_empty()) {
            if let Err(problem) = here(subject.census, place) {
                checks.push(failed(check("card", Level::Ok, [("card", place.name())]), Level::Warning, &problem));
            }
        }
    }
    if scope.mailbox.is_none() {
        checks.extend(places(subject, scope));
    }
    checks.extend(mailboxes(subject.world, scope));
    for id in &scope.identities {
        if let Some(item) = subject.world.item(*id, subject.now) {
            checks.extend(of_identity(subject, &item));
        }
    }
    checks
}

/// A clock that has gone back makes every date wrong.
fn clock(subject: &Subject<'_>) -> CheckView {
    let now = subject.now.to_utc();
    match subject.written.filter(|written| *written > now + SET_RIGHT) {
        Some(written) => check("clock", Level::Warning, [("now", views::time(now)), ("written", views::time(written))]),
        None => check("clock", Level::Ok, [("now", views::time(now))]),
    }
}

/// The credentials that are named in the configuration.
fn handed_over(credentials: &Credentials, scope: &Scope) -> Vec<CheckView> {
    let meant = |named: &Named| match &scope.only {
        Some(only) => only.iter().any(|place| place.is_within(&named.place)),
        None => true,
    };
    let named = credentials.named().into_iter().filter(meant);
    let check = |named: Named| {
        let view = check("credential", Level::Ok, [("credential", named.name.clone()), ("path", named.place.shown())]);
        match credentials.read(&named) {
            Ok(_) => view,
            Err(problem) => failed(view, Level::Warning, &problem),
        }
    };
    named.map(check).collect()
}

/// An executable that is told of notices.
fn executable(path: &Path, failure: Option<String>) -> CheckView {
    let command = path.display().to_string();
    let view = check("notify", Level::Ok, [("path", command.clone())]);
    match failure {
        Some(detail) => failed(view, Level::Warning, &Problem::NotifyFailed { command, detail }),
        None => view,
    }
}

fn readers(subject: &Subject<'_>) -> Vec<CheckView> {
    let Subject { census, world, .. } = subject;
    let Some(service) = census.service else { return Vec::new() };
    let wanted = if world.watches().any(|place| place.scheme().is_card()) { Level::Warning } else { Level::Notice };
    let (word, level) = match service {
        Service::Running => ("running", Level::Ok),
        Service::Absent => ("absent", wanted),
        Service::NotInFront => ("not-in-front", Level::Notice),
    };
    let mut checks = vec![check("card-service", level, [("service", word.to_owned())])];
    if census.readers.is_empty() && service == Service::Running {
        checks.push(check("no-reader", wanted, []));
    }
    for reader in &census.readers {
        let obstacle = census.obstacles.iter().find(|obstacle| obstacle.reader == reader.name);
        let card = census.cards.iter().find(|card| card.reader == reader.name);
        let holds = match (card, obstacle) {
            (Some(card), _) => card.label.clone(),
            (None, Some(_)) => "unknown".to_owned(),
            (None, None) => "nothing".to_owned(),
        };
        let view = check("reader", Level::Ok, [("reader", reader.name.clone()), ("card", holds)]);
        checks.push(match obstacle.filter(|_| card.is_none()) {
            Some(obstacle) => {
                let label = obstacle.place.as_ref().map_or_else(|| reader.name.clone(), Place::name);
                failed(view, Level::Warning, &trouble::card(&obstacle.error, label))
            }
            None => view,
        });
    }
    checks
}

fn module(path: &str, error: Option<&CardError>) -> CheckView {
    let view = check("module", Level::Ok, [("module", path.to_owned())]);
    match error {
        Some(error) => failed(view, Level::Warning, &trouble::card(error, String::new())),
        None => view,
    }
}

fn of_card(subject: &Subject<'_>, card: &Card) -> Vec<CheckView> {
    let world = subject.world;
    let id = world.place_id(&card.place).to_string();
    let named = |what: &str, level, name: &str, value: String| {
        let view = check(what, level, [("card", card.label.clone()), (name, value)]);
        CheckView { item: Some(id.clone()), ..view }
    };
    let mut checks = vec![named("card", Level::Ok, "can", cards::kind(card.kind).to_owned())];
    let label = || card.label.clone();
    checks.push(match card.pin {
        Tries::Blocked => {
            failed(named("pin", Level::Ok, "left", "0".into()), Level::Critical, &Problem::PinBlocked { card: label() })
        }
        Tries::Left(left) => named("pin", if left == 1 { Level::Warning } else { Level::Ok }, "left", left.to_string()),
        Tries::Unknown => named("pin", Level::Ok, "left", "unknown".into()),
    });
    checks.push(match (card.puk, card.pin) {
        (Tries::Blocked, Tries::Blocked) => {
            failed(named("puk", Level::Ok, "left", "0".into()), Level::Critical, &Problem::PukBlocked { card: label() })
        }
        (Tries::Blocked, _) => named("puk", Level::Warning, "left", "0".into()),
        (Tries::Left(left), _) => named("puk", if left == 1 { Level::Notice } else { Level::Ok }, "left", left.to_string()),
        (Tries::Unknown, _) => named("puk", Level::Ok, "left", "unknown".into()),
    });
    let algorithms: Vec<String> = card.algorithms.iter().map(ToString::to_string).collect();
    let algorithms = if algorithms.is_empty() { "none".to_owned() } else { algorithms.join(", ") };
    checks.push(named("keys", Level::Ok, "algorithms", algorithms));
    if let Some(free) = card.room() {
        checks.push(named("free", Level::Ok, "free", free.to_string()));
    }
    if !cards::is_watched(world, &card.place) {
        // Nothing on it is known then: to name every key as a stranger's would say nothing.
        checks.push(named("unwatched", Level::Notice, "path", card.place.to_string()));
        return checks;
    }
    for state in card.spots.iter().filter(|state| !world.explains(&card.place, state)) {
        let certificate = state.certificate.as_ref().and_then(|der| Certificate::from_der(&der.0).ok());
        let what = match (&certificate, &state.key) {
            (Some(certificate), _) => certificate.name().to_owned(),
            (None, Presence::Key(_)) => "key".to_owned(),
            (None, _) => "unknown".to_owned(),
        };
        let view = named("foreign", Level::Notice, "spot", state.spot.to_string());
        checks.push(with(view, "what", what));
    }
    checks
}

/// The places that cannot be read.
fn places(subject: &Subject<'_>, scope: &Scope) -> Vec<CheckView> {
    let world = subject.world;
    let items = subject.listing.iter().filter_map(|id| world.item(*id, subject.now));
    let unreadable = items.filter_map(|item| {
        // What became of a certificate is told with it.
        let of_itself = |problem: &Problem| matches!(problem, Problem::Revoked { .. } | Problem::AuthorityEnds { .. });
        let problem = item.problem.clone().filter(|problem| !of_itself(problem))?;
        let place = match &item.kind {
            Kind::Place(place) => place.clone(),
            // While it is being renewed, the problem is the renewal's.
            Kind::Identity { certificates, job: None, renewed_by: None, .. } => certificates.first()?.2.clone(),
            _ => return None,
        };
        let view = check("place", Level::Ok, [("name", item.name), ("path", place.shown())]);
        let view = CheckView { item: Some(item.id.to_string()), ..view };
        scope.covers(&place).then(|| failed(view, Level::Warning, &problem))
    });
    let unreadable: Vec<CheckView> = unreadable.collect();
    if unreadable.is_empty() {
        let found = world.places().filter(|place| world.is_only_usual(place));
        let watched = world.watches().chain(found).filter(|place| scope.covers(place)).count();
        return vec![check("places", Level::Ok, [("count", watched.to_string())])];
    }
    unreadable
}

/// The mailboxes, and whether what comes into them is seen.
fn mailboxes(world: &World, scope: &Scope) -> Vec<CheckView> {
    let meant = |id: ItemId| scope.mailbox.map_or(scope.only.is_none(), |only| only == id);
    let standings =
        world.mailbox_standings().map(|(mailbox, standing)| (world.mailbox_id(&mailbox.address()), mailbox, standing));
    let check = |(id, mailbox, standing): (ItemId, &Mailbox, &Standing)| {
        let view = check("mailbox", Level::Ok, [("name", mailbox.name()), ("state", standing.state().to_owned())]);
        let view = CheckView { item: Some(id.to_string()), ..view };
        match standing.problem() {
            Some(problem) => failed(view, standing.level(), problem),
            None => view,
        }
    };
    standings.filter(|(id, ..)| meant(*id)).map(check).collect()
}

fn of_identity(subject: &Subject<'_>, item: &Item) -> Vec<CheckView> {
    let world = subject.world;
    let Kind::Identity { not_after, renewed_by, .. } = &item.kind else { return Vec::new() };
    let members = world.current(item.id);
    let named = |what: &str, level| {
        let view = check(what, level, [("name", item.name.clone())]);
        CheckView { item: Some(item.id.to_string()), ..view }
    };
    let ended = *not_after < subject.now;
    let level = if ended { Level::Critical } else { Level::Ok };
    let mut checks = vec![with(named("certificate", level), "not_after", views::time(*not_after))];
    checks.extend(revocation::checks(subject, &members, item.problem.as_ref(), &named));
    if let Some(tool) = renewed_by {
        let view = with(named("tool", Level::Ok), "tool", tool.to_string());
        checks.push(match &item.problem {
            Some(problem) => failed(view, Level::Warning, problem),
            None => view,
        });
        return checks;
    }
    let Some(programme) = members.first().and_then(|first| world.programme_of(first.certificate)) else {
        checks.push(failed(named("programme", Level::Ok), Level::Warning, &Problem::NoProgramme {}));
        return checks;
    };
    checks.push(with(named("programme", Level::Ok), "programme", programme.name.clone()));
    let places: Vec<Option<Place>> =
        members.iter().map(|member| world.places_of(&member.certificate.fingerprint).into_iter().next()).collect();
    if programme.matching.len() > 1 {
        checks.push(match twins(programme, &members, &places) {
            Ok(()) => with(named("twins", Level::Ok), "count", programme.matching.len().to_string()),
            Err(problem) => failed(named("twins", Level::Ok), Level::Warning, &problem),
        });
    }
    for (member, place) in members.iter().zip(&places) {
        if let Some(place) = place.as_ref().filter(|_| !member.key_held) {
            checks.push(failed(named("key", Level::Ok), Level::Warning, &Problem::NoKey { path: place.shown() }));
        }
    }
    if programme.consumers.contains(&Consumer::Nss {}) {
        checks.extend(programs(subject, &members, &named));
    }
    if let Some(place) = places.into_iter().flatten().next().filter(|place| place.scheme().is_card()) {
        checks.push(match at_card(subject, programme, &members, &place) {
            Ok((card, rooms)) => {
                let view = with(named("room", Level::Ok), "card", card.label.clone());
                let view = with(view, "moves", rooms.iter().any(|room| room.archive.is_some()).to_string());
                with(view, "count", rooms.len().to_string())
            }
            Err(problem) => failed(named("room", Level::Ok), Level::Warning, &problem),
        });
    }
    checks
}

/// Which certificate each program will use for the addresses of these.
fn programs(subject: &Subject<'_>, members: &[Member<'_>], named: &impl Fn(&str, Level) -> CheckView) -> Vec<CheckView> {
    let theirs = subject.uses.iter().filter(|used| members.iter().any(|member| member.certificate.has_address(&used.address)));
    theirs
        .map(|used| {
            let current = members.iter().any(|member| used.certificate.is(member.certificate));
            let view = named("program", if current { Level::Ok } else { Level::Warning });
            let view = with(view, "program", used.program.to_owned());
            let view = with(view, "address", used.address.clone());
            let view = with(view, "purpose", used.purpose.as_str().to_owned());
            with(view, "serial", used.certificate.serial_hex())
        })
        .collect()
}

/// All roles are there, in one place.
fn twins(programme: &Programme, members: &[Member<'_>], places: &[Option<Place>]) -> Result<(), Problem> {
    for rule in &programme.matching {
        let member = members.iter().position(|member| member.role == rule.role);
        let member = member.ok_or_else(|| Problem::TwinMissing { role: rule.role.clone() })?;
        if places[member] != places[0] {
            return Err(Problem::TwinsApart { role: rule.role.clone() });
        }
    }
    Ok(())
}

/// The card is here, and has room for the new keys beside the old: what a renewal would set aside, without setting it aside.
fn at_card<'a>(
    subject: &Subject<'a>,
    programme: &Programme,
    members: &[Member<'_>],
    place: &Place,
) -> Result<(&'a Card, Vec<Room>), Problem> {
    let card = here(subject.census, place)?;
    let mut olds = Vec::new();
    for member in members {
        let certificate = member.certificate;
        let here = |der: &[u8]| obnova_core::Fingerprint::of(der) == certificate.fingerprint;
        let spot = card.spots.iter().find(|state| state.certificate.as_ref().is_some_and(|der| here(&der.0)));
        let gone = || Problem::CardKeyGone { card: card.label.clone(), spot: member.role.to_owned() };
        let algorithm = programme.key.algorithm.successor(certificate.key);
        let unsupported = || Problem::UnsupportedKey { algorithm: certificate.key.to_string() };
        olds.push((spot.ok_or_else(gone)?.spot.clone(), algorithm.ok_or_else(unsupported)?));
    }
    let mut fresh = 0..;
    let fresh = || Spot(fresh.next().map_or_else(String::new, |number: u32| format!("{number:02x}")));
    let rooms = card.reserve(&olds, fresh).map_err(|why| trouble::no_room(&why, card.label.clone()))?;
    Ok((card, rooms))
}

/// The card of this place, or why there is none.
fn here<'a>(census: &'a Census, place: &Place) -> Result<&'a Card, Problem> {
    census.cards.iter().find(|card| card.place.is_within(place)).ok_or_else(|| {
        let obstacle = census.obstacles.iter().find(|obstacle| obstacle.place.as_ref() == Some(place));
        let error = obstacle.map_or(CardError::Absent {}, |obstacle| obstacle.error.clone());
        trouble::card(&error, place.name())
    })
}

fn check<const N: usize>(check: &str, level: Level, args: [(&str, String); N]) -> CheckView {
    CheckView {
        check: check.to_owned(),
        state: views::level(level).as_str().to_owned(),
        args: args.map(|(name, value)| (name.to_owned(), value)).into(),
        ..CheckView::default()
    }
}

fn with(mut view: CheckView, name: &str, value: String) -> CheckView {
    view.args.insert(name.to_owned(), value);
    view
}

fn failed(view: CheckView, level: Level, problem: &Problem) -> CheckView {
    CheckView { state: views::level(level).as_str().to_owned(), problem: Some(views::problem(problem)), ..view }
}
