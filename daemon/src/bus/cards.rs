//! Cards as items: which there are, what is shown of each, and what a person does about its PIN. Looking at cards is `cards`', and
//! asking for a PIN its guard's.

use std::collections::BTreeMap;

use obnova_api::{CardView, ItemView, NextStepView, QuestionView, SpotView};
use obnova_core::card::{Card, CardKind, Presence, SpotState, Tries};
use obnova_core::{Certificate, ItemId, Level, Place, Problem, Scheme, World};

use super::Desk;
use super::agents::Requester;
use super::views::{self, Household};
use crate::cards::census::Census;
use crate::cards::guard::Guard;
use crate::cards::step::CardError;
use crate::runner::trouble;

/// A card that is known, and what is to be seen of it.
pub(super) struct Known {
    place: Place,
    sight: Sight,
}

enum Sight {
    /// It is here, and was looked at.
    Here(Box<Card>),
    /// It is here, and cannot be looked at.
    Hindered(String, Problem),
    /// It is in no reader.
    Away,
}

impl Desk {
    /// A page of the cards that are here or watched, and behind which one the next page begins.
    pub(super) async fn cards_page(&self, after: Option<ItemId>, limit: usize) -> Result<(Vec<ItemView>, String), Problem> {
        let mut views = self.all_cards().await?;
        if let Some(after) = after {
            let after = after.to_string();
            let passed = views.iter().position(|view| view.id == after).map_or(views.len(), |position| position + 1);
            views.drain(..passed);
        }
        let whole = views.len() <= limit.max(1);
        views.truncate(limit.max(1));
        let next = views.last().filter(|_| !whole).map(|view| view.id.clone());
        Ok((views, next.unwrap_or_default()))
    }

    /// The card whose item has this id.
    pub(super) async fn card(&self, id: ItemId) -> Result<Option<ItemView>, Problem> {
        let Some(place) = self.card_place(id).await? else { return Ok(None) };
        let sight = match self.cards.look(&place).await {
            Ok(card) => Sight::Here(Box::new(card)),
            Err(CardError::Absent {} | CardError::Removed {}) => Sight::Away,
            Err(error) => {
                let label = self.cards.label(&place);
                Sight::Hindered(label.clone(), trouble::card(&error, label))
            }
        };
        let (known, household) = (Known { place, sight }, self.household.clone());
        self.engine.read(move |state| Some(view(&known, &state.world, &household))).await
    }

    /// Has a card's PIN changed, or replaced by means of the PUK.
    pub(super) async fn at_pin(&self, id: ItemId, action: &str, requester: &Requester) -> Result<(), Problem> {
        let place = self.card_place(id).await?.ok_or(Problem::NoSuchItem { id: id.to_string() })?;
        self.is_at_rest(&place).await?;
        let matter = QuestionView {
            item: id.to_string(),
            name: self.cards.label(&place),
            about: action.to_owned(),
            ..QuestionView::default()
        };
        let guard = Guard { cards: &self.cards, agents: &self.agents, whom: requester, place: &place, matter };
        if action == "unblock" { guard.unblock().await } else { guard.change_pin().await }
    }

    /// No renewal is at work at the card: one that had asked for the PIN would try the old one.
    async fn is_at_rest(&self, place: &Place) -> Result<(), Problem> {
        let place = place.clone();
        let jobs = self.engine.read(move |state| {
            let at_card = state.world.jobs().filter(|(_, job)| job.start.old.iter().any(|old| old.place == place));
            at_card.map(|(number, _)| number).collect::<Vec<u64>>()
        });
        match jobs.await?.into_iter().find(|number| self.runner.is_driving(*number)) {
            Some(number) => Err(Problem::AlreadyRenewing { job: number.to_string() }),
            None => Ok(()),
        }
    }

    /// The place of the card whose item has this id. Only for one that nothing tells of is everything looked at.
    async fn card_place(&self, id: ItemId) -> Result<Option<Place>, Problem> {
        let present: Vec<Place> = self.cards.present().into_keys().collect();
        let of = move |world: &World, places: Vec<Place>| places.into_iter().find(|place| world.place_id(place) == id);
        let told = self.engine.read(move |state| {
            let world = &state.world;
            of(world, present).or_else(|| of(world, remembered(world)))
        });
        if let Some(place) = told.await? {
            return Ok(Some(place));
        }
        let here = self.cards.census().await.cards.into_iter().map(|card| card.place).collect();
        self.engine.read(move |state| of(&state.world, here)).await
    }

    async fn all_cards(&self) -> Result<Vec<ItemView>, Problem> {
        let (census, present) = (self.cards.census().await, self.cards.present());
        let household = self.household.clone();
        let views = self.engine.read(move |state| {
            let known = known(&census, &present, &state.world);
            known.iter().map(|known| view(known, &state.world, &household)).collect()
        });
        views.await
    }
}

/// The cards that are here, and those that are watched or were seen and are not here.
fn known(census: &Census, present: &BTreeMap<Place, Card>, world: &World) -> Vec<Known> {
    let here = census.cards.iter().map(|card| (card.place.clone(), Sight::Here(Box::new(card.clone()))));
    let mut sights: BTreeMap<Place, Sight> = here.collect();
    for obstacle in &census.obstacles {
        let Some(place) = &obstacle.place else { continue };
        let label = present.get(place).map_or_else(|| place.name(), |card| card.label.clone());
        let problem = trouble::card(&obstacle.error, label.clone());
        sights.entry(place.clone()).or_insert(Sight::Hindered(label, problem));
    }
    for place in remembered(world) {
        if !sights.keys().any(|known| known.is_within(&place)) {
            sights.insert(place, Sight::Away);
        }
    }
    sights.into_iter().map(|(place, sight)| Known { place, sight }).collect()
}

/// The cards on which something was seen, and those that are watched and were never seen.
fn remembered(world: &World) -> Vec<Place> {
    let mut places: Vec<Place> = world.places().filter(|place| place.scheme().is_card()).cloned().collect();
    let watched: Vec<&Place> = world.watches().filter(|place| place.scheme().is_card()).collect();
    let unseen = watched.into_iter().filter(|watch| !places.iter().any(|place| place.is_within(watch)));
    let unseen: Vec<Place> = unseen.cloned().collect();
    places.extend(unseen);
    places
}

fn view(known: &Known, world: &World, household: &Household) -> ItemView {
    let place = &known.place;
    let (name, state, level, problem) = match &known.sight {
        Sight::Here(card) if card.pin == Tries::Blocked => (card.label.clone(), "blocked", Level::Warning, None),
        Sight::Here(card) => (card.label.clone(), "present", Level::Ok, None),
        Sight::Hindered(label, problem @ Problem::CardBusy { .. }) => (label.clone(), "busy", Level::Notice, Some(problem)),
        Sight::Hindered(label, problem) => (label.clone(), "unreadable", Level::Warning, Some(problem)),
        Sight::Away => (place.name(), "away", Level::Ok, None),
    };
    let next_step = (state == "blocked").then(|| NextStepView {
        who: "you".into(),
        what: "unblock".into(),
        by: None,
        action: Some("unblock".into()),
    });
    let (certificates, card) = match &known.sight {
        Sight::Here(card) => {
            let read = card.spots.iter().filter_map(|state| Certificate::from_der(&state.certificate.as_ref()?.0).ok());
            (read.collect(), Some(card_view(card, world)))
        }
        Sight::Hindered(..) | Sight::Away => {
            let found = world.sight(place).map(|sight| sight.certificates).unwrap_or_default();
            (found.into_iter().map(|found| Certificate::clone(&found.certificate)).collect(), None)
        }
    };
    let certificates: Vec<Certificate> = certificates;
    let role = |certificate: &Certificate| {
        world.programme_of(certificate).and_then(|programme| programme.role_of(certificate)).unwrap_or("general").to_owned()
    };
    ItemView {
        id: world.place_id(place).to_string(),
        kind: "card".into(),
        name,
        owner: household.owner.clone(),
        scope: household.scope.into(),
        state: state.into(),
        level: views::level(level).as_str().into(),
        next_step,
        problem: problem.map(views::problem),
        certificates: Some(certificates.iter().map(|one| views::certificate(&role(one), one, place)).collect()),
        place: Some(place.to_string()),
        card,
        ..ItemView::default()
    }
}

fn card_view(card: &Card, world: &World) -> CardView {
    let left = |tries: Tries| match tries {
        Tries::Left(left) => Some(u32::from(left)),
        Tries::Blocked => Some(0),
        Tries::Unknown => None,
    };
    CardView {
        place: card.place.to_string(),
        label: card.label.clone(),
        model: card.model.clone(),
        serial: card.serial.clone(),
        reader: card.reader.clone(),
        kind: kind(card.kind).into(),
        watched: is_watched(world, &card.place),
        pin_blocked: card.pin == Tries::Blocked,
        puk_blocked: card.puk == Tries::Blocked,
        pin_pad: card.pin_pad,
        algorithms: card.algorithms.iter().map(ToString::to_string).collect(),
        spots: card.spots.iter().map(|state| spot_view(&card.place, state, world)).collect(),
        pin_tries: left(card.pin),
        puk_tries: left(card.puk),
        free: card.room().map(|free| u32::try_from(free).unwrap_or(u32::MAX)),
    }
}

fn spot_view(place: &Place, state: &SpotState, world: &World) -> SpotView {
    let certificate = state.certificate.as_ref().and_then(|der| Certificate::from_der(&der.0).ok());
    let certificate = certificate.as_ref();
    SpotView {
        spot: state.spot.to_string(),
        key: match state.key {
            Presence::Free => "free",
            Presence::Unproven => "unproven",
            Presence::Key(_) => "key",
            Presence::Unknown => "unknown",
        }
        .into(),
        known: world.explains(place, state),
        subject: certificate.map(|certificate| certificate.subject().to_owned()),
        not_after: certificate.map(|certificate| views::time(certificate.not_after)),
        sha256: certificate.map(|certificate| certificate.fingerprint.to_string()),
        algorithm: certificate.map(|certificate| certificate.key.to_string()),
        always: state.always,
    }
}

/// The word for what a card can do with keys.
pub(super) fn kind(kind: CardKind) -> &'static str {
    match kind {
        CardKind::Moves => "moves",
        CardKind::Retires => "retires",
        CardKind::Fixed => "fixed",
        CardKind::Token => "token",
    }
}

/// Whether a card is looked after.
pub(super) fn is_watched(world: &World, place: &Place) -> bool {
    debug_assert!(matches!(place.scheme(), Scheme::Piv | Scheme::Pkcs11), "a card");
    world.watches().any(|watch| place.is_within(watch))
}
