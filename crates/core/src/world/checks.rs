//! What was found out about revocation and chains, when it is looked at next, and what follows for a certificate. Asking is the daemon's.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Duration, SecondsFormat, Utc};

use super::{Known, World};
use crate::Now;
use crate::certificate::{Certificate, Fingerprint};
use crate::item::ItemId;
use crate::problem::Problem;
use crate::record::Record;
use crate::revocation::{Checked, DAY, Reason, Revoked, Standing};
use crate::schedule::Threshold;

/// The most certificates that are looked at. More have a machine of their own for that.
const MOST: usize = 4096;

/// What is due so soon is looked at with the others.
const TOGETHER: Duration = Duration::hours(4);

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Somebody looks.
    wanted: bool,
    revoked: HashMap<Fingerprint, Revoked>,
    last: HashMap<Fingerprint, Checked>,
    /// When those are looked at that never were.
    first: HashMap<Fingerprint, DateTime<Utc>>,
}

impl World {
    /// From now on somebody looks what becomes of certificates, or nobody.
    pub fn want_checks(&mut self, wanted: bool) {
        self.checks.wanted = wanted;
    }

    /// Whether somebody looks what becomes of certificates.
    pub fn wants_checks(&self) -> bool {
        self.checks.wanted
    }

    /// Takes note of what was found out about a certificate. The item that may look otherwise now, and what is to be written down.
    pub fn note_check(&mut self, certificate: Fingerprint, checked: Checked) -> (Option<ItemId>, Option<Record>) {
        self.checks.first.remove(&certificate);
        let record = self.follows(certificate, &checked);
        self.checks.last.insert(certificate, checked);
        (self.identity_of(&certificate), record)
    }

    /// Decides when those certificates are looked at for the first time that are new: after `delay`, so that what has just begun has its
    /// peace, and not all at once.
    pub fn plan_checks(&mut self, now: Now, delay: impl Fn() -> Duration) {
        if !self.checks.wanted {
            return;
        }
        let gone = |fingerprint: &Fingerprint| self.certificate(fingerprint).is_none();
        let forgotten: Vec<Fingerprint> =
            self.checks.last.keys().chain(self.checks.first.keys()).filter(|known| gone(known)).copied().collect();
        for fingerprint in forgotten {
            self.checks.last.remove(&fingerprint);
            self.checks.first.remove(&fingerprint);
        }
        let room = MOST.saturating_sub(self.checks.last.len() + self.checks.first.len());
        let unseen = |known: &&Known| {
            let fingerprint = &known.certificate.fingerprint;
            let planned = self.checks.last.contains_key(fingerprint) || self.checks.first.contains_key(fingerprint);
            !known.certificate.self_issued() && !planned && self.is_to_check(known, now)
        };
        let new: Vec<Fingerprint> =
            self.sights.all_known().filter(unseen).take(room).map(|known| known.certificate.fingerprint).collect();
        for fingerprint in new {
            self.checks.first.insert(fingerprint, now.to_utc() + delay());
        }
    }

    /// The certificates that are to be looked at now, if any is due.
    pub fn to_check(&self, now: Now) -> BTreeSet<Fingerprint> {
        let due = |moment: DateTime<Utc>| moment <= now;
        if !self.moments(now).any(|(fingerprint, moment)| due(moment) && self.is_wanted(&fingerprint, now)) {
            return BTreeSet::new();
        }
        let soon = |fingerprint: &Fingerprint, moment: DateTime<Utc>| {
            let rested = self.checks.last.get(fingerprint).is_none_or(|last| due(last.at + DAY));
            due(moment) || rested && due(moment - TOGETHER)
        };
        let soon = self.moments(now).filter(|(fingerprint, moment)| soon(fingerprint, *moment));
        soon.map(|(fingerprint, _)| fingerprint).filter(|fingerprint| self.is_wanted(fingerprint, now)).collect()
    }

    /// What was found out about a certificate.
    pub fn checked(&self, certificate: &Fingerprint) -> Option<&Checked> {
        self.checks.last.get(certificate)
    }

    /// Since when a certificate is revoked, and why.
    pub fn revoked(&self, certificate: &Fingerprint) -> Option<&Revoked> {
        self.checks.revoked.get(certificate)
    }

    /// The certificates with this subject that are authorities' and lie in some place.
    pub fn authorities_named<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = Fingerprint> + use<'a> {
        let named = move |known: &&Known| known.certificate.authority && known.certificate.subject() == subject;
        self.sights.all_known().filter(named).map(|known| known.certificate.fingerprint)
    }

    /// The next moment at which a certificate is to be looked at.
    pub(super) fn next_check(&self, now: Now) -> Option<DateTime<Utc>> {
        self.moments(now).fold(None, |first, (fingerprint, moment)| {
            // Whether it still matters is only asked where it would change something.
            let sooner = moment > now && first.is_none_or(|first| moment < first);
            if sooner && self.is_wanted(&fingerprint, now) { Some(moment) } else { first }
        })
    }

    pub(super) fn has_checked(&self) -> bool {
        !self.checks.last.is_empty() || !self.checks.revoked.is_empty()
    }

    pub(super) fn take_revoked(&mut self, certificate: Fingerprint, revoked: Revoked) {
        self.checks.revoked.insert(certificate, revoked);
    }

    /// What was told of it before was about its dates.
    pub(super) fn take_reinstated(&mut self, certificate: &Fingerprint) {
        self.checks.revoked.remove(certificate);
        if self.told.get(certificate).is_some_and(|told| told.threshold == Threshold::Revoked) {
            self.told.remove(certificate);
        }
    }

    /// When the chain above a certificate ends, if that is before it does, and whose certificate it is.
    pub(super) fn authority_ends(&self, certificate: &Certificate) -> Option<(DateTime<Utc>, &str)> {
        let (end, name) = self.checks.last.get(&certificate.fingerprint)?.authority_ends.as_deref()?;
        (*end < certificate.not_after).then_some((*end, name))
    }

    /// That a certificate was revoked, as the person is told it.
    pub(super) fn revocation_problem(&self, certificate: &Certificate) -> Option<Problem> {
        let Revoked { since, reason } = self.revoked(&certificate.fingerprint)?;
        Some(Problem::Revoked { since: written(*since), reason: reason.as_str().to_owned() })
    }

    /// That the authority's certificate ends before a certificate, as the person is told it.
    pub(super) fn authority_problem(&self, certificate: &Certificate) -> Option<Problem> {
        let (end, authority) = self.authority_ends(certificate)?;
        Some(Problem::AuthorityEnds { authority: authority.to_owned(), ends: written(end) })
    }

    /// When each certificate is to be looked at, be it still wanted or not.
    fn moments(&self, now: Now) -> impl Iterator<Item = (Fingerprint, DateTime<Utc>)> + use<'_> {
        let last = self.checks.last.iter().map(move |(fingerprint, checked)| {
            // Whoever looked in the future looked by a wrong clock.
            let wrong = checked.at > now + DAY;
            (*fingerprint, if wrong { now.to_utc() } else { checked.again })
        });
        last.chain(self.checks.first.iter().map(|(fingerprint, moment)| (*fingerprint, *moment)))
    }

    fn is_wanted(&self, certificate: &Fingerprint, now: Now) -> bool {
        self.checks.wanted && self.sights.known(certificate).is_some_and(|known| self.is_to_check(known, now))
    }

    /// Somebody else has issued it, it has not ended, and nothing has taken its place.
    fn is_to_check(&self, known: &Known, now: Now) -> bool {
        let certificate = &known.certificate;
        !certificate.self_issued() && certificate.not_after > now && self.is_current(known)
    }

    /// What is to be written down of what was found out. Only a suspension can be taken back (RFC 5280 section 5.3.1).
    fn follows(&self, certificate: Fingerprint, checked: &Checked) -> Option<Record> {
        let known = self.sights.known(&certificate)?;
        let (item, name) = (known.identity, known.certificate.name().to_owned());
        let (standing, _) = checked.standing.as_ref().ok()?;
        match (standing, self.revoked(&certificate)) {
            (Standing::Revoked(revoked), before) if before != Some(revoked) => {
                Some(Record::Revoked { certificate, item, name, revoked: *revoked })
            }
            (Standing::Good, Some(Revoked { reason: Reason::Hold, .. })) => {
                Some(Record::Reinstated { certificate, item, name })
            }
            _ => None,
        }
    }
}

fn written(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
