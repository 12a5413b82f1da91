//! Which warnings are due. Telling the person is the daemon's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Known, Told, World};
use crate::Now;
use crate::certificate::{Certificate, Fingerprint};
use crate::identity::Member;
use crate::item::ItemId;
use crate::record::Record;
use crate::schedule::{Life, Threshold, may_return};

/// A warning that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The item that it is about.
    pub item: ItemId,
    /// The certificate that ends.
    pub certificate: Fingerprint,
    /// The item's name.
    pub name: String,
    /// What for.
    pub threshold: Threshold,
    /// The certificate's end of validity, or of what it stands on.
    pub not_after: DateTime<Utc>,
}

impl Notice {
    /// The record of having told it; `shown`: somebody who shows notices was there.
    pub fn announced(&self, shown: bool) -> Record {
        Record::Announced {
            certificate: self.certificate,
            item: self.item,
            name: self.name.clone(),
            threshold: self.threshold,
            not_after: self.not_after,
            shown,
        }
    }
}

impl World {
    /// The warnings that are due now: for each item only the most urgent threshold that has passed, and only if that has not
    /// been announced; and those whose snooze has ended.
    pub fn due(&self, now: Now) -> Vec<Notice> {
        let ending = self.sights.all_known().filter(|known| self.life(&known.certificate).passed(now).is_some());
        let ending: BTreeSet<ItemId> = ending.map(|known| known.identity).collect();
        let mut due: Vec<Notice> = ending.into_iter().filter_map(|id| self.due_for(id, &self.warned(id)?, now)).collect();
        due.sort_by(|a, b| (b.threshold, a.not_after, a.item).cmp(&(a.threshold, b.not_after, b.item)));
        due
    }

    /// The warnings that were announced, that nobody has seen, and that may come back now that somebody is there who shows
    /// them: those never shown at once, the others at most once a day and by day.
    pub fn returning(&self, now: Now) -> Vec<Notice> {
        let returns = |(fingerprint, told): (&Fingerprint, &Told)| {
            let id = self.identity_of(fingerprint)?;
            let member = self.warned(id).filter(|member| member.certificate.fingerprint == *fingerprint)?;
            let may = !told.seen && (!told.shown || may_return(told.at, told.threshold, now));
            let threshold = self.life(member.certificate).passed(now)?;
            may.then(|| self.notice(id, &member, threshold))
        };
        self.told.iter().filter_map(returns).collect()
    }

    /// The next moment at which something becomes due or looks otherwise.
    pub fn next_wake(&self, now: Now) -> Option<DateTime<Utc>> {
        let snoozes = self.told.iter().filter_map(|(fingerprint, told)| {
            let until = told.snoozed_until.filter(|until| *until > now)?;
            self.is_current(self.sights.known(fingerprint)?).then_some(until)
        });
        let first = snoozes.chain(self.next_missing(now)).chain(self.next_check(now)).min();
        self.sights.all_known().fold(first, |first, known| {
            let sooner = |moment: &DateTime<Utc>| *moment > now && first.is_none_or(|first| *moment < first);
            let (life, begins) = (self.life(&known.certificate), known.certificate.not_before);
            // Nearly all end so late that the first of their moments is no news.
            let late = !life.is_near(now) && !sooner(&life.comes_near());
            let next = if late { None } else { life.next(now) };
            let next = [next, Some(begins)].into_iter().flatten().filter(sooner).min();
            next.filter(|_| self.is_current(known)).or(first)
        })
    }

    /// The items that look otherwise now than at `since`, by the passing of time alone. A clock that was set back passes, too.
    pub fn turned(&self, since: DateTime<Utc>, now: Now) -> BTreeSet<ItemId> {
        let (earlier, later) = if since <= now { (since, now.to_utc()) } else { (now.to_utc(), since) };
        let within = |moment: DateTime<Utc>| earlier < moment && moment <= later;
        let turned = |known: &&Known| {
            let life = self.life(&known.certificate);
            let near = || life.is_near(later.fixed_offset());
            let passed = near() && life.thresholds(*now.offset()).any(|(_, moment)| within(moment));
            (passed || within(life.not_before)) && self.is_current(known)
        };
        self.sights.all_known().filter(turned).map(|known| known.identity).collect()
    }

    /// The certificates of an item about which a person was told.
    pub fn told(&self, item: ItemId) -> Vec<Fingerprint> {
        let current = self.current(item);
        let fingerprints = current.iter().map(|member| member.certificate.fingerprint);
        fingerprints.filter(|fingerprint| self.told.contains_key(fingerprint)).collect()
    }

    pub(super) fn is_current(&self, known: &Known) -> bool {
        let fingerprint = known.certificate.fingerprint;
        self.current(known.identity).iter().any(|member| member.certificate.fingerprint == fingerprint)
    }

    /// The certificate of an item that ends first, unless the item is being renewed: then it does not warn. That it was revoked
    /// counts all the same.
    fn warned(&self, item: ItemId) -> Option<Member<'_>> {
        let first = self.current(item).into_iter().next();
        first.filter(|first| self.renewal_of(item).is_none() || self.revoked(&first.certificate.fingerprint).is_some())
    }

    fn due_for(&self, id: ItemId, member: &Member<'_>, now: Now) -> Option<Notice> {
        let threshold = self.life(member.certificate).passed(now)?;
        let due = match self.told.get(&member.certificate.fingerprint) {
            None => true,
            Some(told) => match told.snoozed_until {
                // Nobody who put a warning off has heard of that.
                Some(until) => until <= now || told.threshold < threshold && threshold == Threshold::Revoked,
                None => threshold > told.threshold,
            },
        };
        due.then(|| self.notice(id, member, threshold))
    }

    fn notice(&self, item: ItemId, member: &Member<'_>, threshold: Threshold) -> Notice {
        Notice {
            item,
            certificate: member.certificate.fingerprint,
            name: member.certificate.name().to_owned(),
            threshold,
            not_after: self.life(member.certificate).not_after,
        }
    }
}

/// A certificate's life as the schedule sees it. No programme that is built in has a cliff: the deadline is the end of validity.
pub(super) fn life(certificate: &Certificate) -> Life {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    Life { not_before, not_after, deadline: not_after, silent_until: None, revoked: false }
}
