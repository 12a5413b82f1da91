//! What mails mean for the certificates that we hold: to which one a letter belongs, what follows for its item, and whether a person is
//! to be told. No mail starts anything: all that comes of one is an offer.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};

use super::{Sight, World};
use crate::Now;
use crate::certificate::{Certificate, Fingerprint};
use crate::item::{ItemId, Level};
use crate::mail::{self, Facts, Kind, Letter, Letters, Standing, Verdict};
use crate::record::{Record, Word};

/// How long before a threshold of the schedule a letter takes its place.
const CLOSE: Duration = Duration::days(3);

/// How long before its end a certificate is worth telling of a letter that is not trusted.
const SEASON: Duration = Duration::days(90);

/// The letters, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Post {
    letters: Letters,
    /// The letters about each certificate, the newest last.
    about: HashMap<Fingerprint, Vec<Fingerprint>>,
    /// Of what a person was told, about which certificate.
    told: HashSet<(Fingerprint, Word)>,
    /// When a person said that a renewal has been ordered.
    orders: HashMap<Fingerprint, DateTime<Utc>>,
}

/// Something to be told of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tidings {
    /// The item that it is about.
    pub item: ItemId,
    /// The certificate that it is about.
    pub certificate: Fingerprint,
    /// The item's name.
    pub name: String,
    /// What is told.
    pub word: Word,
    /// The warning whose place it takes, if one is near: threshold and end of validity.
    instead: Option<(crate::Threshold, DateTime<Utc>)>,
}

impl Tidings {
    /// The records of having told it; `shown`: somebody who shows notices was there.
    pub fn announced(&self, shown: bool) -> Vec<Record> {
        let Self { item, certificate, ref name, word, instead } = *self;
        let told = Record::LetterTold { certificate, item, name: name.clone(), word };
        let announced =
            |(threshold, not_after)| Record::Announced { certificate, item, name: name.clone(), threshold, not_after, shown };
        [Some(told), instead.map(announced)].into_iter().flatten().collect()
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self.word {
            Word::Invited | Word::Doubtful => Level::Notice,
            Word::Forged | Word::Missing => Level::Warning,
        }
    }
}

impl World {
    /// All letters that were written down.
    pub fn letters(&self) -> &Letters {
        &self.post.letters
    }

    /// The letters that a mail is, by each programme that it concerns. `servers`: whose Authentication-Results a person trusts.
    pub fn judge_mail(&self, facts: &Facts, servers: &[String]) -> Vec<Letter> {
        let judged = |programme| mail::judge(facts, programme, &self.post.letters, servers);
        self.programmes.iter().filter_map(judged).collect()
    }

    /// What a letter is in view of the certificates that are known, and the item that it is about.
    pub fn verdict<'letter>(&self, letter: &'letter Letter) -> (Verdict<'letter>, Option<ItemId>) {
        let Some(certificate) = self.subject_of(letter) else { return (letter.by_itself(), None) };
        let item = self.identity_of(&certificate.fingerprint);
        let awaited = item.is_some_and(|item| self.renewal_of(item).is_some());
        let verdict = match letter.kind {
            Kind::PaymentDue | Kind::Issued | Kind::Challenge if !awaited => letter.unawaited(),
            _ => letter.for_certificate(certificate),
        };
        (verdict, item)
    }

    /// Whether a programme takes this mail for a forged one.
    pub fn is_forged(&self, mail: &Fingerprint) -> bool {
        self.post.letters.all_of(mail).any(|letter| matches!(letter.standing, Standing::Forged(_)))
    }

    /// The invitation to renew an item that counts: the newest trusted one, else the newest doubtful one.
    pub fn invitation(&self, item: ItemId) -> Option<(&Letter, Verdict<'_>)> {
        let current = self.current(item);
        let letters = current.iter().flat_map(|member| self.letters_about(member.certificate));
        let invitations = letters
            .filter(|(letter, verdict)| letter.kind == Kind::Invitation && !matches!(verdict.standing, Standing::Forged(_)));
        invitations.max_by_key(|(letter, verdict)| (verdict.standing == Standing::Trusted, letter.arrived))
    }

    /// What a person is to be told of letters now.
    pub fn tidings(&self, now: Now) -> Vec<Tidings> {
        let certificates: BTreeSet<Fingerprint> = self.post.about.keys().chain(self.post.orders.keys()).copied().collect();
        let mut tidings: Vec<Tidings> =
            certificates.iter().filter_map(|fingerprint| self.tidings_of(fingerprint, now)).collect();
        // Of an identity of several certificates it is told once.
        let mut told = HashSet::new();
        tidings.retain(|one| told.insert((one.item, one.word)));
        tidings
    }

    /// The next moment at which a letter that was ordered counts as missing.
    pub(super) fn next_missing(&self, now: Now) -> Option<DateTime<Utc>> {
        let orders = self.post.orders.keys().filter(|certificate| !self.is_told(certificate, Word::Missing));
        orders.filter_map(|certificate| self.missing_from(certificate)).filter(|moment| *moment > now).min()
    }

    /// The record of a person having said that the renewal of an item has been ordered; `None` where no letter would follow.
    pub fn ordered(&self, item: ItemId) -> Option<Record> {
        let first = self.current(item).into_iter().next()?;
        self.programme_of(first.certificate)?.mail.as_ref()?.within_minutes?;
        Some(Record::Ordered { certificate: first.certificate.fingerprint, name: first.certificate.name().to_owned() })
    }

    pub(super) fn take_letter(&mut self, letter: &Letter) {
        self.post.letters.add(letter.clone());
        let about: Vec<Fingerprint> = self
            .sights
            .all_known()
            .map(|known| &known.certificate)
            .filter(|certificate| self.belongs(letter, certificate))
            .map(|certificate| certificate.fingerprint)
            .collect();
        for certificate in about {
            self.post.address(certificate, letter.digest);
        }
    }

    pub(super) fn take_told(&mut self, certificate: Fingerprint, word: Word) {
        self.post.told.insert((certificate, word));
    }

    pub(super) fn take_order(&mut self, certificate: Fingerprint, at: DateTime<Utc>) {
        self.post.orders.insert(certificate, at);
        self.post.told.remove(&(certificate, Word::Missing));
    }

    /// Judges the letters again in view of what was found.
    pub(super) fn address_letters(&mut self, sight: &Sight) {
        for found in &sight.certificates {
            let letters = self.post.letters.iter().filter(|letter| self.belongs(letter, &found.certificate));
            let letters: Vec<Fingerprint> = letters.map(|letter| letter.digest).collect();
            for letter in letters {
                self.post.address(found.certificate.fingerprint, letter);
            }
        }
    }

    fn belongs(&self, letter: &Letter, certificate: &Certificate) -> bool {
        letter.is_about(certificate)
            && self.programme_of(certificate).is_some_and(|programme| programme.name == letter.programme)
    }

    /// The certificate that a letter is about: of several the current one that ends first.
    fn subject_of(&self, letter: &Letter) -> Option<&Certificate> {
        let about = self.post.about.iter().filter(|(_, letters)| letters.contains(&letter.digest));
        let known = about.filter_map(|(certificate, _)| self.sights.known(certificate));
        let known = known.filter(|known| self.belongs(letter, &known.certificate));
        let order = |certificate: &Certificate, current: bool| (!current, certificate.not_after, certificate.fingerprint);
        let subject = known.map(|known| (&known.certificate, self.is_current(known)));
        subject.min_by_key(|(certificate, current)| order(certificate, *current)).map(|(certificate, _)| certificate)
    }

    fn letters_about<'a>(&'a self, certificate: &Certificate) -> impl Iterator<Item = (&'a Letter, Verdict<'a>)> + use<'a> {
        let letters = self.post.about.get(&certificate.fingerprint).map(Vec::as_slice).unwrap_or_default();
        let letters = letters.iter().flat_map(|digest| self.post.letters.all_of(digest));
        let letters = letters.filter(|letter| self.belongs(letter, certificate));
        let judged: Vec<_> = letters.map(|letter| (letter, letter.for_certificate(certificate))).collect();
        judged.into_iter()
    }

    fn is_told(&self, certificate: &Fingerprint, word: Word) -> bool {
        self.post.told.contains(&(*certificate, word))
    }

    fn tidings_of(&self, fingerprint: &Fingerprint, now: Now) -> Option<Tidings> {
        let known = self.sights.known(fingerprint).filter(|known| self.is_current(known))?;
        let (item, certificate) = (known.identity, &known.certificate);
        // A running renewal takes the place of all that is told.
        if self.renewal_of(item).is_some() {
            return None;
        }
        let life = self.life(certificate);
        let near =
            life.thresholds(*now.offset()).filter(|(_, moment)| *moment <= now + CLOSE).map(|(threshold, _)| threshold).max();
        let warned = near.is_some_and(|near| self.told.get(fingerprint).is_some_and(|told| told.threshold >= near));
        let in_season = certificate.not_after - now.to_utc() < SEASON;
        let twins = self.current(item);
        let is_told = |word| twins.iter().any(|member| self.is_told(&member.certificate.fingerprint, word));
        let due = |word: Word| match word {
            Word::Invited => !warned && !is_told(Word::Invited),
            Word::Doubtful => in_season && !warned && !is_told(Word::Invited) && !is_told(Word::Doubtful),
            Word::Forged => !is_told(Word::Forged),
            Word::Missing => !is_told(Word::Missing) && self.missing_from(fingerprint).is_some_and(|moment| moment <= now),
        };
        let words = self.letters_about(certificate).filter_map(|(letter, verdict)| match verdict.standing {
            Standing::Forged(_) => Some(Word::Forged),
            _ if letter.kind != Kind::Invitation => None,
            Standing::Trusted => Some(Word::Invited),
            Standing::Doubtful(_) => Some(Word::Doubtful),
        });
        let word = words.chain([Word::Missing]).filter(|word| due(*word)).min()?;
        let invites = matches!(word, Word::Invited | Word::Doubtful);
        let instead = near.filter(|_| invites).map(|near| (near, certificate.not_after));
        Some(Tidings { item, certificate: *fingerprint, name: certificate.name().to_owned(), word, instead })
    }

    /// When a letter that was ordered counts as missing; `None`: it came, or none was ordered.
    fn missing_from(&self, fingerprint: &Fingerprint) -> Option<DateTime<Utc>> {
        let ordered = self.post.orders.get(fingerprint)?;
        let certificate = self.certificate(fingerprint)?;
        let minutes = self.programme_of(certificate)?.mail.as_ref()?.within_minutes?;
        let came = self.letters_about(certificate).any(|(letter, _)| letter.arrived >= *ordered);
        (!came).then(|| *ordered + Duration::minutes(minutes.into()))
    }
}

impl Post {
    fn address(&mut self, certificate: Fingerprint, letter: Fingerprint) {
        let letters = self.about.entry(certificate).or_default();
        if !letters.contains(&letter) {
            letters.push(letter);
        }
    }
}
