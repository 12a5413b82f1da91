//! The items that every surface shows, made from what is known.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Condition, Look, World};
use crate::Now;
use crate::elsewhere::Elsewhere;
use crate::identity::Member;
use crate::item::{Item, ItemId, Kind, Level, NextStep, Who};
use crate::job::{Job, Phase};
use crate::place::Place;
use crate::problem::Problem;
use crate::schedule::{Life, Threshold};

/// Where an item stands in the listing.
type Rank = (Reverse<Level>, DateTime<Utc>, ItemId);

impl World {
    /// The ids of the items that are shown: the most urgent first, then by deadline. `all`: retired certificates and
    /// renewals, too.
    pub fn listing(&self, all: bool, now: Now) -> Vec<ItemId> {
        let mut keyed: Vec<Rank> = self.sights.identities().filter_map(|id| self.rank(id, now)).collect();
        let mut push = |item: Option<Item>| {
            keyed.extend(item.map(|item| (Reverse(item.level), item.deadline.unwrap_or(DateTime::<Utc>::MAX_UTC), item.id)));
        };
        for place in self.item_places.values() {
            push(self.place_item(place));
        }
        self.mailbox_items().for_each(|item| push(Some(item)));
        if all {
            for (number, job) in &self.jobs {
                push(Some(self.renewal_item(*number, job)));
            }
            for fingerprint in self.retired.keys() {
                push(self.retired_item(fingerprint));
            }
        }
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, _, id)| id).collect()
    }

    /// The renewals, the oldest first.
    pub fn renewals(&self) -> Vec<ItemId> {
        self.jobs.keys().map(|number| self.renewal_id(*number)).collect()
    }

    /// One item.
    pub fn item(&self, id: ItemId, now: Now) -> Option<Item> {
        if let Some(item) = self.identity_item(id, now) {
            return Some(item);
        }
        if let Some((number, job)) = self.jobs.iter().find(|(number, _)| self.renewal_id(**number) == id) {
            return Some(self.renewal_item(*number, job));
        }
        if let Some(fingerprint) = self.retired.keys().find(|fingerprint| self.retired_id(fingerprint) == id) {
            return self.retired_item(fingerprint);
        }
        if let Some(item) = self.mailbox_items().find(|item| item.id == id) {
            return Some(item);
        }
        self.place_by_id(id).and_then(|place| self.place_item(&place))
    }

    /// The id of a place's item.
    pub fn place_id(&self, place: &Place) -> ItemId {
        ItemId::derive(self.salt(), &[b"place", place.as_str().as_bytes()])
    }

    /// The id of a renewal's item.
    pub fn renewal_id(&self, job: u64) -> ItemId {
        ItemId::derive(self.salt(), &[b"renewal", &job.to_be_bytes()])
    }

    /// The place whose item has this id.
    pub fn place_by_id(&self, id: ItemId) -> Option<Place> {
        self.item_places.get(&id).cloned()
    }

    /// The ids of the items that places are.
    pub fn place_items(&self) -> BTreeSet<ItemId> {
        self.item_places.values().filter_map(|place| self.place_item(place)).map(|item| item.id).collect()
    }

    /// The ids of the items that stand in a place or below it.
    pub fn items_within(&self, root: &Place) -> BTreeSet<ItemId> {
        let mut ids = BTreeSet::from([self.place_id(root)]);
        for look in self.sights.looks().filter(|look| look.place.is_within(root)) {
            if self.may_be_item(&look.place) {
                ids.insert(self.place_id(&look.place));
            }
            ids.extend(self.sights.found(look).map(|(known, _)| known.identity));
        }
        ids
    }

    /// The places in which the certificates of an item are, or the place that it is.
    pub fn places_of_item(&self, id: ItemId) -> Vec<Place> {
        let places = self.sights.members(id).flat_map(|known| self.sights.places(known)).map(|(look, _)| look.place.clone());
        let places: BTreeSet<Place> = places.collect();
        if places.is_empty() { self.place_by_id(id).into_iter().collect() } else { places.into_iter().collect() }
    }

    /// The job whose item has this id, or that renews the item of this id.
    pub fn job_by_item(&self, id: ItemId) -> Option<(u64, &Job)> {
        self.jobs().find(|(number, _)| self.renewal_id(*number) == id).or_else(|| self.renewal_of(id))
    }

    fn retired_id(&self, fingerprint: &crate::Fingerprint) -> ItemId {
        ItemId::derive(self.salt(), &[b"retired", &fingerprint.0])
    }

    /// The rank of an [`identity_item`](Self::identity_item), without making one.
    fn rank(&self, id: ItemId, now: Now) -> Option<Rank> {
        let current = self.current(id);
        let first = current.first()?;
        let condition = self.foremost(first).map(Look::condition);
        let life = self.life(first.certificate);
        let (_, level) = state(first, condition, self.renewal_of(id).map(|(_, job)| job), &life, now);
        let level = if self.invitation(id).is_some() { level.max(Level::Notice) } else { level };
        Some((Reverse(level), life.deadline, id))
    }

    /// The first of the places where a certificate is.
    fn foremost(&self, member: &Member<'_>) -> Option<&Look> {
        let known = self.sights.known(&member.certificate.fingerprint)?;
        let order =
            |(look, key): &(&Look, bool), (other, its_key): &(&Look, bool)| (!key, &look.place).cmp(&(!its_key, &other.place));
        self.sights.places(known).min_by(order).map(|(look, _)| look)
    }

    fn identity_item(&self, id: ItemId, now: Now) -> Option<Item> {
        let current = self.current(id);
        let first = current.first()?;
        let certificate = first.certificate;
        let certificates: Vec<_> = current
            .iter()
            .filter_map(|member| {
                let place = self.foremost(member)?.place.clone();
                Some((member.role.to_owned(), member.certificate.fingerprint, place))
            })
            .collect();
        let elsewhere = self.elsewhere(certificate);
        let programme = self.programme_of(certificate).filter(|_| elsewhere.is_none());
        let job = self.renewal_of(id);
        let condition = self.foremost(first).map(Look::condition);
        let life = self.life(certificate);
        let (deadline, passed) = (life.deadline, life.passed(now));
        let (state, level) = state(first, condition, job.map(|(_, job)| job), &life, now);
        let invitation = self.invitation(id);
        let level = if invitation.is_some() { level.max(Level::Notice) } else { level };
        let state = if state == "expired" { programme.map_or(state, |programme| programme.expired.state()) } else { state };
        let next_step = match (job, condition) {
            (Some((_, job)), _) => Some(step_of_job(job)),
            // Its key may not ask for another one any more.
            (None, _) if life.revoked && elsewhere.is_none() => {
                Some(NextStep { who: Who::You, what: "ask-authority", by: None, action: None })
            }
            (None, Some(Condition::Changed)) => {
                Some(NextStep { who: Who::You, what: "unlock", by: Some(deadline), action: Some("unlock") })
            }
            (None, Some(Condition::Failed(problem))) => {
                Some(NextStep { who: problem.who(), what: "repair", by: Some(deadline), action: None })
            }
            _ if level <= Level::Notice && invitation.is_none() => None,
            _ if elsewhere.is_some() => {
                Some(NextStep { who: Who::Administrator, what: "help-tool", by: Some(deadline), action: None })
            }
            _ => Some(match (programme, first.key_held) {
                (Some(_), true) => NextStep { who: Who::You, what: "renew", by: Some(deadline), action: Some("renew") },
                (Some(_), false) => NextStep { who: Who::You, what: "renew-elsewhere", by: Some(deadline), action: None },
                (None, _) => NextStep { who: Who::You, what: "ask-authority", by: Some(deadline), action: None },
            }),
        };
        let problem = if let Some(problem) = job.and_then(|(_, job)| job.problem()) {
            Some(problem.clone())
        } else if life.revoked {
            self.revocation_problem(certificate)
        } else if let Some(Condition::Failed(problem)) = condition {
            Some(problem.clone())
        } else if passed.is_some() && life.not_after < certificate.not_after {
            self.authority_problem(certificate)
        } else {
            elsewhere
                .filter(|_| passed.is_some())
                .map(|Elsewhere { tool, name, .. }| Problem::ToolLate { tool: tool.to_string(), called: name.clone() })
        };
        Some(Item {
            id,
            name: certificate.name().to_owned(),
            state,
            level,
            deadline: Some(deadline),
            next_step,
            problem,
            kind: Kind::Identity {
                programme: programme.map(|programme| programme.name.clone()),
                renewed_by: elsewhere.map(|elsewhere| elsewhere.tool),
                not_after: certificate.not_after,
                certificates,
                job: job.map(|(number, _)| number),
                letter: invitation.filter(|_| job.is_none()).map(|(letter, _)| letter.digest),
            },
        })
    }

    /// A place is an item of its own only while no certificate of it can be shown, or part of it cannot be read.
    fn place_item(&self, place: &Place) -> Option<Item> {
        let watched = self.watches.contains(place);
        let holds_something =
            || self.sights.looks().any(|look| look.holds() > 0 && (look.place == *place || look.place.is_within(place)));
        let look = self.sights.look(place);
        let (state, level, next_step, problem) = match look.map(|look| (look.condition(), look.holds() == 0)) {
            Some((Condition::Locked, true)) => {
                let next = NextStep { who: Who::You, what: "unlock", by: None, action: Some("unlock") };
                ("locked", Level::Warning, Some(next), None)
            }
            Some((Condition::Failed(problem), true)) => {
                let next = NextStep { who: problem.who(), what: "repair", by: None, action: None };
                (word_for(problem), Level::Warning, Some(next), Some(problem.clone()))
            }
            Some((_, false)) => return None,
            None if watched && place.scheme().is_card() && !holds_something() => ("away", Level::Notice, None, None),
            _ if watched && !holds_something() => ("empty", Level::Notice, None, None),
            _ => return None,
        };
        Some(Item {
            id: self.place_id(place),
            name: place.name(),
            state,
            level,
            deadline: None,
            next_step,
            problem,
            kind: Kind::Place(place.clone()),
        })
    }

    fn renewal_item(&self, number: u64, job: &Job) -> Item {
        let level = match job.phase {
            Phase::Waiting(..) | Phase::Quarantined(_) => Level::Warning,
            Phase::Ready | Phase::Intended(_) if job.problem().is_some() => Level::Warning,
            Phase::Ready | Phase::Intended(_) => Level::Notice,
            Phase::Done | Phase::Cancelled | Phase::Overtaken => Level::Ok,
        };
        Item {
            id: self.renewal_id(number),
            name: job.start.name.clone(),
            state: job.state(),
            level,
            deadline: (!job.is_ended()).then_some(job.not_after()),
            next_step: (!job.is_ended()).then(|| step_of_job(job)),
            problem: job.problem().cloned(),
            kind: Kind::Renewal { job: number, identity: job.start.identity },
        }
    }

    fn retired_item(&self, fingerprint: &crate::Fingerprint) -> Option<Item> {
        let retired = self.retired.get(fingerprint)?;
        Some(Item {
            id: self.retired_id(fingerprint),
            name: retired.name.clone(),
            state: "retired",
            level: Level::Ok,
            deadline: None,
            next_step: None,
            problem: None,
            kind: Kind::Identity {
                programme: None,
                renewed_by: None,
                not_after: retired.not_after,
                certificates: vec![("retired".into(), *fingerprint, retired.place.clone())],
                job: None,
                letter: None,
            },
        })
    }
}

fn state(first: &Member<'_>, condition: Option<&Condition>, job: Option<&Job>, life: &Life, now: Now) -> (&'static str, Level) {
    if let Some(job) = job {
        let level = if job.problem().is_some() { Level::Warning } else { Level::Notice };
        return ("renewing", level);
    }
    let passed = life.passed(now);
    let level = passed.map_or(Level::Ok, Threshold::level);
    if life.revoked {
        return ("revoked", level);
    }
    match condition {
        Some(Condition::Changed) => return ("changed", level.max(Level::Warning)),
        Some(Condition::Failed(_)) => return ("unreadable", level.max(Level::Warning)),
        _ => {}
    }
    match passed {
        Some(Threshold::Expired) if first.certificate.not_after > now => ("authority-ended", level),
        Some(Threshold::Expired) => ("expired", level),
        Some(_) => ("expiring", level),
        None if first.certificate.not_before > now => ("not-yet-valid", Level::Notice),
        None => ("valid", level),
    }
}

fn step_of_job(job: &Job) -> NextStep {
    let by = Some(job.not_after());
    match job.problem() {
        Some(Problem::ByHand { .. }) => NextStep { who: Who::You, what: "by-hand", by, action: Some("done") },
        Some(Problem::AtPage { .. }) => NextStep { who: Who::You, what: "renew-at-page", by, action: Some("resume") },
        Some(problem) => NextStep { who: problem.who(), what: "resume", by, action: Some("resume") },
        None => NextStep { who: Who::Obnova, what: "wait", by, action: None },
    }
}

fn word_for(problem: &crate::Problem) -> &'static str {
    match problem {
        crate::Problem::PlaceMissing { .. } => "missing",
        crate::Problem::PlaceBroken { .. } => "broken",
        _ => "unreadable",
    }
}
