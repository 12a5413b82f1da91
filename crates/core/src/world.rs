//! All that is known: the fold of the journal, and what was seen in the watched places.
//!
//! Owns no clock and no file. [`World::apply`] takes what was written, [`World::observe`] what was seen; the rest answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::certificate::{Certificate, Fingerprint};
use crate::identity::{self, Member};
use crate::item::ItemId;
use crate::job::{Job, JobEvent, Phase};
use crate::place::Place;
use crate::problem::Problem;
use crate::programme::Programme;
use crate::record::{Entry, Record};
use crate::schedule::Threshold;

mod items;
mod notices;
#[cfg(test)]
mod tests;

pub use notices::Notice;

/// What was seen in a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Whether it could be read.
    pub condition: Condition,
    /// The certificates in it; where it could not be read, the last that were known.
    pub certificates: Vec<Found>,
}

/// Whether a place could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It could.
    Readable,
    /// Its password was never at hand.
    Locked,
    /// It has changed since it was last opened, and its password is not at hand.
    Changed,
    /// It could not, for this reason.
    Failed(Problem),
}

/// A certificate in a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Its private key lies with it.
    pub key: bool,
}

/// A [`Sight`] as it is kept: small, since nearly all places are readable and hold one certificate.
#[derive(Debug)]
struct Look {
    /// The condition, unless it is that the place is readable.
    odd: Option<Box<Condition>>,
    /// The certificates, and whether their key lies with them.
    found: Box<[(Fingerprint, bool)]>,
}

impl Look {
    fn condition(&self) -> &Condition {
        self.odd.as_deref().unwrap_or(&Condition::Readable)
    }
}

/// A certificate that is known, and where it is.
#[derive(Debug)]
struct Known {
    certificate: Arc<Certificate>,
    places: Vec<Place>,
    identity: ItemId,
}

/// What is known under one issuer's name. Its certificates share the one text that is the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Issued {
    /// All certificates that name it.
    certificates: u32,
    /// Those among them whose subject is another.
    others: u32,
}

/// A certificate that a renewal of ours has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The item's name when it was retired.
    pub name: String,
    /// Where it and its key still are.
    pub place: Place,
    /// Its end of validity.
    pub not_after: DateTime<Utc>,
}

/// What a person was told about a certificate.
#[derive(Clone, Debug)]
struct Told {
    threshold: Threshold,
    at: DateTime<Utc>,
    shown: bool,
    seen: bool,
    snoozed_until: Option<DateTime<Utc>>,
}

/// A record that cannot follow what is known, apart from those of jobs (they put their job into quarantine).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalRecord {
    /// Something is written before the beginning.
    #[error("the journal does not begin with its birth")]
    NotBorn,
    /// The journal begins twice.
    #[error("the journal is born twice")]
    BornTwice,
}

/// All that is known.
#[derive(Debug)]
pub struct World {
    programmes: Vec<Programme>,
    salt: Option<String>,
    watches: BTreeSet<Place>,
    excluded: BTreeSet<Place>,
    sights: HashMap<Place, Look>,
    /// The places that may be items, by the id that they then have: those that were named, and those that cannot be read.
    item_places: HashMap<ItemId, Place>,
    known: HashMap<Fingerprint, Known>,
    keys: HashMap<Fingerprint, u32>,
    identities: HashMap<ItemId, Vec<Fingerprint>>,
    issuers: HashMap<Arc<str>, Issued>,
    told: HashMap<Fingerprint, Told>,
    retired: BTreeMap<Fingerprint, Retired>,
    jobs: BTreeMap<u64, Job>,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(programmes: Vec<Programme>) -> Self {
        Self {
            programmes,
            salt: None,
            watches: BTreeSet::new(),
            excluded: BTreeSet::new(),
            sights: HashMap::new(),
            item_places: HashMap::new(),
            known: HashMap::new(),
            keys: HashMap::new(),
            identities: HashMap::new(),
            issuers: HashMap::new(),
            told: HashMap::new(),
            retired: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// Applies a record, live or replayed.
    ///
    /// A record of a job that cannot follow puts that job alone into quarantine; the world goes on.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalRecord> {
        match (&entry.record, &self.salt) {
            (Record::Born { salt }, None) => {
                self.salt = Some(salt.clone());
                return Ok(());
            }
            (Record::Born { .. }, Some(_)) => return Err(IllegalRecord::BornTwice),
            (_, None) => return Err(IllegalRecord::NotBorn),
            _ => {}
        }
        match &entry.record {
            Record::Born { .. } | Record::Replaced { .. } => {}
            Record::Watched { place } => {
                self.excluded.remove(place);
                self.watches.insert(place.clone());
                self.index(place);
            }
            Record::Unwatched { place } => {
                self.watches.remove(place);
                self.index(place);
            }
            Record::Excluded { place } => {
                self.excluded.insert(place.clone());
            }
            Record::Announced { certificate, threshold, shown, .. } => {
                let told = Told { threshold: *threshold, at: entry.at, shown: *shown, seen: false, snoozed_until: None };
                self.told.insert(*certificate, told);
            }
            Record::Seen { certificate, .. } => {
                if let Some(told) = self.told.get_mut(certificate) {
                    told.seen = true;
                }
            }
            Record::Snoozed { certificate, until, .. } => {
                if let Some(told) = self.told.get_mut(certificate) {
                    told.seen = true;
                    told.snoozed_until = Some(*until);
                }
            }
            Record::Job { job, what } => self.apply_to_job(*job, what, entry.at),
        }
        Ok(())
    }

    fn apply_to_job(&mut self, number: u64, event: &JobEvent, at: DateTime<Utc>) {
        if let (JobEvent::Started(start), None) = (event, self.jobs.get(&number)) {
            self.jobs.insert(number, Job::new((**start).clone(), at));
            return;
        }
        let Some(job) = self.jobs.get_mut(&number) else { return };
        if matches!(job.phase, Phase::Quarantined(_)) {
            return;
        }
        let retiring = match &job.phase {
            Phase::Intended(crate::job::Intent::RetireOld { place }) => Some((job.member(), place.clone())),
            _ => None,
        };
        if let Err(illegal) = job.apply(event, at) {
            job.phase = Phase::Quarantined(illegal.to_string());
            job.finished = Some(at);
            return;
        }
        if let (Some((member, new)), JobEvent::Done { .. }) = (retiring, event)
            && let Some(old) = job.start.old.get(member).cloned()
        {
            let name = job.start.name.clone();
            self.retired.insert(old.certificate, Retired { name, place: old.place.clone(), not_after: old.not_after });
            if old.place != new {
                self.watches.remove(&old.place);
                self.index(&old.place);
            }
            if !self.watches.iter().any(|watch| watch.scheme() == new.scheme() && new.is_within(watch)) {
                self.watches.insert(new.clone());
                self.index(&new);
            }
        }
    }

    /// Takes note of what was seen in a place; `None`: the place is not watched any more, or nothing is there.
    ///
    /// Where nothing could be read, the certificates that were known before stay known: a file that cannot be read at the
    /// moment ends no less soon. What is locked then counts as [`Condition::Changed`], since it was open once.
    ///
    /// The ids of the items that may look otherwise now.
    pub fn observe(&mut self, place: &Place, sight: Option<Sight>) -> BTreeSet<ItemId> {
        let mut touched = BTreeSet::new();
        let was_item = self.may_be_item(place);
        let sight = sight.map(|sight| self.completed(place, sight));
        if let Some(look) = self.sights.remove(place) {
            for (fingerprint, key) in look.found {
                touched.extend(self.forget(fingerprint, place, key));
            }
        }
        if let Some(Sight { condition, certificates }) = sight {
            let mut kept = Vec::with_capacity(certificates.len());
            for found in certificates {
                // A file may hold the same certificate twice.
                if kept.iter().any(|(fingerprint, _)| *fingerprint == found.certificate.fingerprint) {
                    continue;
                }
                kept.push((found.certificate.fingerprint, found.key));
                touched.extend(self.remember(found, place));
            }
            let odd = (condition != Condition::Readable).then(|| Box::new(condition));
            self.sights.insert(place.clone(), Look { odd, found: kept.into() });
        }
        // Most places are readable and no items themselves: only the others are named.
        if was_item || self.may_be_item(place) {
            touched.insert(self.index(place));
        }
        touched
    }

    fn may_be_item(&self, place: &Place) -> bool {
        self.watches.contains(place) || self.sights.get(place).is_some_and(|look| look.odd.is_some())
    }

    /// Keeps [`World::item_places`] right after a change of what is known of a place; its id as an item.
    fn index(&mut self, place: &Place) -> ItemId {
        let id = self.place_id(place);
        if self.may_be_item(place) {
            self.item_places.insert(id, place.clone());
        } else {
            self.item_places.remove(&id);
        }
        id
    }

    /// The sight with the certificates that were known before, if it could not be read.
    fn completed(&self, place: &Place, sight: Sight) -> Sight {
        if sight.condition == Condition::Readable || !sight.certificates.is_empty() {
            return sight;
        }
        let certificates = self.sight(place).map(|before| before.certificates).unwrap_or_default();
        let condition = match sight.condition {
            Condition::Locked if !certificates.is_empty() => Condition::Changed,
            condition => condition,
        };
        Sight { condition, certificates }
    }

    /// The identities that look otherwise now.
    fn remember(&mut self, found: Found, place: &Place) -> [ItemId; 2] {
        let Found { mut certificate, key } = found;
        if key {
            *self.keys.entry(certificate.public_key).or_default() += 1;
        }
        let card = (key && place.scheme().is_card()).then_some(place);
        if let Some(known) = self.known.get_mut(&certificate.fingerprint) {
            known.places.push(place.clone());
            let before = known.identity;
            let after = card.and_then(|card| self.rehome(certificate.fingerprint, card));
            return [before, after.unwrap_or(before)];
        }
        if let Some((issuer, _)) = self.issuers.get_key_value(&certificate.issuer)
            && !Arc::ptr_eq(issuer, &certificate.issuer)
        {
            Arc::make_mut(&mut certificate).issuer = Arc::clone(issuer);
        }
        let id = identity::id_of(self.salt(), self.programme_of(&certificate), &certificate, card);
        let issued = self.issuers.entry(Arc::clone(&certificate.issuer)).or_default();
        issued.certificates += 1;
        issued.others += u32::from(!certificate.self_issued());
        let fingerprint = certificate.fingerprint;
        // Room for one: most identities have one certificate, and a hundred thousand of them shall stay small.
        self.identities.entry(id).or_insert_with(|| Vec::with_capacity(1)).push(fingerprint);
        self.known.insert(fingerprint, Known { certificate, places: vec![place.clone()], identity: id });
        [id, id]
    }

    /// A certificate that was known from elsewhere has its key on this card: from now on it is one of the card's.
    fn rehome(&mut self, fingerprint: Fingerprint, card: &Place) -> Option<ItemId> {
        let known = self.known.get(&fingerprint)?;
        let (before, programme) = (known.identity, self.programme_of(&known.certificate));
        let id = identity::id_of(self.salt(), programme, &known.certificate, Some(card));
        if id != before {
            self.leave(before, fingerprint);
            self.identities.entry(id).or_insert_with(|| Vec::with_capacity(1)).push(fingerprint);
            self.known.get_mut(&fingerprint)?.identity = id;
        }
        Some(id)
    }

    fn leave(&mut self, identity: ItemId, fingerprint: Fingerprint) {
        if let Some(members) = self.identities.get_mut(&identity) {
            members.retain(|member| *member != fingerprint);
            if members.is_empty() {
                self.identities.remove(&identity);
            }
        }
    }

    fn forget(&mut self, fingerprint: Fingerprint, place: &Place, key: bool) -> Option<ItemId> {
        let known = self.known.get_mut(&fingerprint)?;
        let identity = known.identity;
        if let Some(position) = known.places.iter().position(|other| other == place) {
            known.places.swap_remove(position);
        }
        if key {
            decrement(&mut self.keys, &known.certificate.public_key);
        }
        if known.places.is_empty() {
            if let Some(issued) = self.issuers.get_mut(&known.certificate.issuer) {
                issued.certificates -= 1;
                issued.others -= u32::from(!known.certificate.self_issued());
                if issued.certificates == 0 {
                    self.issuers.remove(&known.certificate.issuer);
                }
            }
            self.known.remove(&fingerprint);
            self.leave(identity, fingerprint);
        }
        Some(identity)
    }

    /// The places that a person or the configuration named.
    pub fn watches(&self) -> impl Iterator<Item = &Place> {
        self.watches.iter()
    }

    /// Whether this very place was named.
    pub fn is_watched(&self, place: &Place) -> bool {
        self.watches.contains(place)
    }

    /// Whether this place below a watched directory is passed over.
    pub fn is_excluded(&self, place: &Place) -> bool {
        self.excluded.contains(place)
    }

    /// The places in which something was seen though nobody wants them watched any more.
    pub fn unwatched(&self) -> Vec<Place> {
        // Where a renewal has just put its new certificate: watched as soon as that is written down.
        let arriving: Vec<&Place> = self.jobs.values().filter_map(Job::arriving).collect();
        let wanted = |place: &Place| arriving.contains(&place) || self.watches.iter().any(|root| place.is_within(root));
        self.sights.keys().filter(|place| !wanted(place) || self.excluded.contains(place)).cloned().collect()
    }

    /// The places in which something was seen.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.sights.keys()
    }

    /// What was seen in a place.
    pub fn sight(&self, place: &Place) -> Option<Sight> {
        let look = self.sights.get(place)?;
        let found = |(fingerprint, key): &(Fingerprint, bool)| {
            let certificate = Arc::clone(&self.known.get(fingerprint)?.certificate);
            Some(Found { certificate, key: *key })
        };
        Some(Sight { condition: look.condition().clone(), certificates: look.found.iter().filter_map(found).collect() })
    }

    /// A certificate that is in some place.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<&Arc<Certificate>> {
        self.known.get(fingerprint).map(|known| &known.certificate)
    }

    /// The identity of a certificate that is in some place.
    pub fn identity_of(&self, fingerprint: &Fingerprint) -> Option<ItemId> {
        self.known.get(fingerprint).map(|known| known.identity)
    }

    /// The places where a certificate is, those that hold its key first.
    pub fn places_of(&self, fingerprint: &Fingerprint) -> Vec<Place> {
        let Some(known) = self.known.get(fingerprint) else { return Vec::new() };
        let mut places = known.places.clone();
        places.sort_by_key(|place| {
            let key = self.sights.get(place).is_some_and(|look| look.found.contains(&(*fingerprint, true)));
            (!key, place.clone())
        });
        places
    }

    /// The programme of this name.
    pub fn programme(&self, name: &str) -> Option<&Programme> {
        self.programmes.iter().find(|programme| programme.name == name)
    }

    /// The programme that renews certificates like this one.
    pub fn programme_of(&self, certificate: &Certificate) -> Option<&Programme> {
        self.programmes.iter().find(|programme| programme.role_of(certificate).is_some())
    }

    /// The current certificates of an identity, those that end first coming first: retired ones, predecessors and other
    /// people's authorities left out.
    pub fn current(&self, identity: ItemId) -> Vec<Member<'_>> {
        let Some(fingerprints) = self.identities.get(&identity) else { return Vec::new() };
        let members: Vec<Member<'_>> = fingerprints
            .iter()
            .filter(|fingerprint| !self.retired.contains_key(fingerprint))
            .filter_map(|fingerprint| self.known.get(fingerprint))
            .filter(|known| !self.is_authority(known))
            .map(|known| Member {
                certificate: &known.certificate,
                role: self.programmes.iter().find_map(|programme| programme.role_of(&known.certificate)).unwrap_or("general"),
                key_held: self.keys.contains_key(&known.certificate.public_key),
            })
            .collect();
        identity::current(&members)
    }

    /// An authority's certificate: CA:TRUE, and a found certificate of another subject names it as its issuer, or it stands
    /// without a key in a file of several. What a person watches by name is none, unless a certificate that it issued stands
    /// in the same file.
    fn is_authority(&self, known: &Known) -> bool {
        let certificate = &known.certificate;
        if !certificate.authority {
            return false;
        }
        let issued_beside = |place: &Place| {
            self.sights.get(place).is_some_and(|look| {
                look.found
                    .iter()
                    .filter_map(|(other, _)| self.known.get(other))
                    .any(|other| *other.certificate.issuer == *certificate.subject && !other.certificate.self_issued())
            })
        };
        if known.places.iter().any(|place| self.watches.contains(place) && !issued_beside(place)) {
            return false;
        }
        let has_issued = self.issuers.get(certificate.subject.as_ref()).is_some_and(|issued| issued.others > 0);
        let bundled = |place: &Place| self.sights.get(place).is_some_and(|look| look.found.len() > 1);
        has_issued || (!self.keys.contains_key(&certificate.public_key) && known.places.iter().any(bundled))
    }

    /// The jobs, the oldest first.
    pub fn jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs.iter().map(|(number, job)| (*number, job))
    }

    /// The job of this number.
    pub fn job(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number)
    }

    /// The unfinished renewal of an identity.
    pub fn renewal_of(&self, identity: ItemId) -> Option<(u64, &Job)> {
        self.jobs().find(|(_, job)| job.start.identity == identity && !job.is_ended())
    }

    /// Takes note that a job cannot go on, where that could not be written into the journal; `None`: it tries again.
    pub fn stall(&mut self, number: u64, problem: Option<Problem>) -> BTreeSet<ItemId> {
        let Some(job) = self.jobs.get_mut(&number).filter(|job| !job.is_ended()) else { return BTreeSet::new() };
        job.stalled = problem;
        let identity = job.start.identity;
        BTreeSet::from([identity, self.renewal_id(number)])
    }

    /// The number of the next job.
    pub fn next_job(&self) -> u64 {
        self.jobs.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Certificates that renewals of ours have replaced.
    pub fn retired(&self) -> impl Iterator<Item = (&Fingerprint, &Retired)> {
        self.retired.iter()
    }

    /// The salt of this journal; empty before its birth.
    pub fn salt(&self) -> &str {
        self.salt.as_deref().unwrap_or_default()
    }

    /// Whether the journal has begun.
    pub fn is_born(&self) -> bool {
        self.salt.is_some()
    }
}

fn decrement<K: std::hash::Hash + Eq + Clone>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
