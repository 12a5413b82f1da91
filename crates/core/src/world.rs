//! All that is known: the fold of the journal, and what was seen in the watched places.
//!
//! Owns no clock and no file. [`World::apply`] takes what was written, [`World::observe`] what was seen; the rest answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::certificate::{Certificate, Fingerprint};
use crate::elsewhere::Elsewhere;
use crate::identity::{self, Member};
use crate::item::ItemId;
use crate::job::{Job, JobEvent, Phase};
use crate::place::Place;
use crate::problem::Problem;
use crate::programme::Programme;
use crate::record::{Entry, Record};
use crate::schedule::Threshold;

mod checks;
mod elsewhere;
mod items;
mod keys;
mod letters;
mod mailboxes;
mod notices;
mod sights;
mod slots;
mod starting;
mod successors;
#[cfg(test)]
mod tests;

pub use letters::Tidings;
pub use notices::Notice;
pub use sights::{Condition, Found, Sight};

use checks::Checks;
use letters::Post;
use mailboxes::Mailboxes;
use sights::{Known, Look, Sights};

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
    /// Cards that a person wanted watched no more: they are not taken up again by themselves.
    dismissed: BTreeSet<Place>,
    sights: Sights,
    /// The places that may be items, by the id that they then have: those that were named, and those that cannot be read.
    item_places: HashMap<ItemId, Place>,
    told: HashMap<Fingerprint, Told>,
    retired: BTreeMap<Fingerprint, Retired>,
    /// The places whose passwords are in the person's keyring.
    remembered: BTreeSet<Place>,
    /// The places for which the configuration names what opens them.
    openable: BTreeSet<Place>,
    /// The places whose certificates other tools renew.
    elsewhere: BTreeMap<Place, Elsewhere>,
    /// The usual directories of a machine for which nothing is configured.
    usual: BTreeSet<Place>,
    jobs: BTreeMap<u64, Job>,
    post: Post,
    mailboxes: Mailboxes,
    checks: Checks,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(programmes: Vec<Programme>) -> Self {
        Self {
            programmes,
            salt: None,
            watches: BTreeSet::new(),
            excluded: BTreeSet::new(),
            dismissed: BTreeSet::new(),
            sights: Sights::new(),
            item_places: HashMap::new(),
            told: HashMap::new(),
            retired: BTreeMap::new(),
            remembered: BTreeSet::new(),
            openable: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            usual: BTreeSet::new(),
            jobs: BTreeMap::new(),
            post: Post::default(),
            mailboxes: Mailboxes::default(),
            checks: Checks::default(),
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
                self.dismissed.remove(place);
                self.excluded.remove(place);
                self.watches.insert(place.clone());
                self.index(place);
            }
            Record::Unwatched { place } => {
                if place.scheme().is_card() {
                    self.dismissed.insert(place.clone());
                }
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
            Record::MailboxAdded { mailbox } => self.take_mailbox(mailbox),
            Record::MailboxRemoved { address } => self.drop_mailbox(address),
            Record::Letter { letter } => self.take_letter(letter),
            Record::LetterTold { certificate, word, .. } => self.take_told(*certificate, *word),
            Record::Ordered { certificate, .. } => self.take_order(*certificate, entry.at),
            Record::Remembered { place } => {
                self.remembered.insert(place.clone());
            }
            Record::Forgotten { place } => {
                self.remembered.remove(place);
            }
            Record::Revoked { certificate, revoked, .. } => self.take_revoked(*certificate, *revoked),
            Record::Reinstated { certificate, .. } => self.take_reinstated(certificate),
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
            // Where a new file took its place, what is left of it is the copy.
            let copy = job.kept.iter().find(|(file, _)| file.path() == old.place.path());
            let place = copy.map_or_else(|| old.place.clone(), |(_, copy)| copy.clone());
            self.retired.insert(old.certificate, Retired { name, place, not_after: old.not_after });
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
        let sight = sight.map(|sight| self.completed(place, sight));
        if let Some(sight) = &sight {
            self.address_letters(sight);
        }
        let (programmes, salt) = (&self.programmes, self.salt.as_deref().unwrap_or_default());
        let (mut touched, odd) = self.sights.replace(place, sight, |certificate, card| {
            identity::id_of(salt, programme_for(programmes, certificate), certificate, card)
        });
        // Most places are readable and no items themselves: only the others are named.
        if odd || self.watches.contains(place) {
            touched.insert(self.index(place));
        }
        touched
    }

    fn may_be_item(&self, place: &Place) -> bool {
        self.watches.contains(place) || self.sights.look(place).is_some_and(Look::is_odd)
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

    /// The places that a person or the configuration named.
    pub fn watches(&self) -> impl Iterator<Item = &Place> {
        self.watches.iter()
    }

    /// Whether this very place was named.
    pub fn is_watched(&self, place: &Place) -> bool {
        self.watches.contains(place)
    }

    /// Whether a card on which these certificates lie is taken up by itself: nobody has said no to it, and a programme renews
    /// one of them whose key is there. What people make for themselves is not reason enough.
    pub fn takes_up(&self, card: &Place, found: &[Found]) -> bool {
        let renewed =
            |found: &Found| found.key && !found.certificate.self_issued() && self.programme_of(&found.certificate).is_some();
        let known = self.dismissed.contains(card) || self.watches.iter().any(|watch| card.is_within(watch));
        !known && found.iter().any(renewed)
    }

    /// From now on these directories are looked into though nobody has named them.
    pub fn look_into_usual(&mut self, directories: BTreeSet<Place>) {
        self.usual = directories;
    }

    /// The directories that are looked into though nobody has named them.
    pub fn usual(&self) -> impl Iterator<Item = &Place> {
        self.usual.iter()
    }

    /// Whether a place is one that was named or is usual, or lies in one.
    fn is_covered(&self, place: &Place) -> bool {
        self.watches.iter().chain(&self.usual).any(|root| place.is_within(root))
    }

    /// Whether a place was looked into only because that is usual: nobody has named it, or where it lies.
    pub fn is_only_usual(&self, place: &Place) -> bool {
        let within = |roots: &BTreeSet<Place>| roots.iter().any(|root| place.is_within(root));
        within(&self.usual) && !within(&self.watches)
    }

    /// Whether the password of this place is in the person's keyring.
    pub fn remembers(&self, place: &Place) -> bool {
        self.remembered.contains(place)
    }

    /// From now on these places, and what is below them, open without a question, as the configuration says.
    pub fn open_without_question(&mut self, places: BTreeSet<Place>) {
        self.openable = places;
    }

    /// Whether a place opens without a question to anybody: by what is in the keyring, or by what the configuration names.
    pub fn is_openable(&self, place: &Place) -> bool {
        self.remembers(place) || self.is_named_openable(place)
    }

    /// Whether the configuration names what opens a place.
    fn is_named_openable(&self, place: &Place) -> bool {
        self.openable.iter().any(|named| place.is_within(named))
    }

    /// The places of an item whose passwords are in the person's keyring; those, too, that renewals have left behind.
    pub fn remembered_of(&self, id: ItemId) -> Vec<Place> {
        let olds = self.jobs().filter(|(_, job)| job.start.identity == id).flat_map(|(_, job)| &job.start.old);
        let places: BTreeSet<Place> = olds.map(|old| old.place.clone()).chain(self.places_of_item(id)).collect();
        places.into_iter().filter(|place| self.remembers(place)).collect()
    }

    /// Whether this place below a watched directory is passed over.
    pub fn is_excluded(&self, place: &Place) -> bool {
        self.excluded.contains(place)
    }

    /// The places in which something was seen though nobody wants them watched any more.
    pub fn unwatched(&self) -> Vec<Place> {
        // Where a renewal has just put its new certificate: watched as soon as that is written down.
        let arriving: Vec<&Place> = self.jobs.values().filter_map(Job::arriving).collect();
        let wanted = |place: &Place| arriving.contains(&place) || self.is_covered(place);
        self.places().filter(|place| !wanted(place) || self.excluded.contains(place)).cloned().collect()
    }

    /// The places in which something was seen.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.sights.looks().map(|look| &look.place)
    }

    /// What was seen in a place.
    pub fn sight(&self, place: &Place) -> Option<Sight> {
        let look = self.sights.look(place)?;
        let found = |(known, key): (&Known, bool)| Found { certificate: Arc::new(known.certificate.clone()), key };
        Some(Sight { condition: look.condition().clone(), certificates: self.sights.found(look).map(found).collect() })
    }

    /// A certificate that is in some place.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<&Certificate> {
        self.sights.known(fingerprint).map(|known| &known.certificate)
    }

    /// The identity of a certificate that is in some place.
    pub fn identity_of(&self, fingerprint: &Fingerprint) -> Option<ItemId> {
        self.sights.known(fingerprint).map(|known| known.identity)
    }

    /// The places where a certificate is, those that hold its key first.
    pub fn places_of(&self, fingerprint: &Fingerprint) -> Vec<Place> {
        let Some(known) = self.sights.known(fingerprint) else { return Vec::new() };
        let mut places: Vec<(bool, &Place)> = self.sights.places(known).map(|(look, key)| (!key, &look.place)).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, place)| place.clone()).collect()
    }

    /// Whether another certificate is known that this one's issuer has given the same serial number, which must not be
    /// (RFC 5280 section 4.1.2.2).
    pub fn knows_serial(&self, certificate: &Certificate) -> bool {
        self.sights.all_known().any(|known| {
            let other = &known.certificate;
            other.fingerprint != certificate.fingerprint
                && other.serial() == certificate.serial()
                && other.issuer() == certificate.issuer()
        })
    }

    /// The programmes, in the order in which they are asked whether a certificate is theirs.
    pub fn programmes(&self) -> &[Programme] {
        &self.programmes
    }

    /// From now on certificates are renewed by these programmes. The ids of the items that may look otherwise now.
    pub fn reprogramme(&mut self, programmes: Vec<Programme>) -> BTreeSet<ItemId> {
        let places: Vec<Place> = self.places().cloned().collect();
        let seen: Vec<(Place, Option<Sight>)> = places.into_iter().map(|place| (place.clone(), self.sight(&place))).collect();
        self.programmes = programmes;
        // Which certificates belong together is the programmes' to say: all are taken note of anew.
        let mut touched: BTreeSet<ItemId> = seen.iter().flat_map(|(place, _)| self.observe(place, None)).collect();
        for (place, sight) in seen {
            touched.extend(self.observe(&place, sight));
        }
        touched
    }

    /// The programme of this name.
    pub fn programme(&self, name: &str) -> Option<&Programme> {
        self.programmes.iter().find(|programme| programme.name == name)
    }

    /// The programme that renews certificates like this one.
    pub fn programme_of(&self, certificate: &Certificate) -> Option<&Programme> {
        programme_for(&self.programmes, certificate)
    }

    /// The current certificates of an identity, those that were revoked or end first coming first: retired ones, predecessors and other
    /// people's authorities left out.
    pub fn current(&self, identity: ItemId) -> Vec<Member<'_>> {
        let members: Vec<Member<'_>> = self
            .sights
            .members(identity)
            .filter(|known| !self.retired.contains_key(&known.certificate.fingerprint) && !self.is_authority(known))
            .map(|known| Member {
                certificate: &known.certificate,
                role: self
                    .programme_of(&known.certificate)
                    .and_then(|programme| programme.role_of(&known.certificate))
                    .unwrap_or("general"),
                key_held: self.sights.is_key_held(&known.certificate),
            })
            .collect();
        // By far the most have but one.
        if members.len() < 2 {
            return members;
        }
        let mut current = identity::current(&members);
        if self.has_checked() {
            // Not all that end early say so themselves.
            current.sort_by_key(|member| {
                let life = self.life(member.certificate);
                (!life.revoked, life.not_after, member.certificate.fingerprint)
            });
        }
        current
    }

    /// An authority's certificate: CA:TRUE, and a found certificate of another subject names it as its issuer, or it stands
    /// without a key in a file of several. What a person watches by name is none, unless a certificate that it issued stands
    /// in the same file.
    fn is_authority(&self, known: &Known) -> bool {
        let certificate = &known.certificate;
        if !certificate.authority {
            return false;
        }
        let issued_beside = |look: &Look| {
            let mut beside = self.sights.found(look).map(|(other, _)| &other.certificate);
            beside.any(|other| other.issuer() == certificate.subject() && !other.self_issued())
        };
        let mut places = self.sights.places(known).map(|(look, _)| look);
        if places.any(|look| self.watches.contains(&look.place) && !issued_beside(look)) {
            return false;
        }
        let bundled = || self.sights.places(known).any(|(look, _)| look.holds() > 1);
        self.sights.has_issued(certificate.subject()) || (!self.sights.is_key_held(certificate) && bundled())
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

fn programme_for<'a>(programmes: &'a [Programme], certificate: &Certificate) -> Option<&'a Programme> {
    programmes.iter().find(|programme| programme.role_of(certificate).is_some())
}
