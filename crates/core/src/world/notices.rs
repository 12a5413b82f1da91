//! Which warnings are due. Telling the person is the daemon's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::World;
use crate::Now;
use crate::certificate::Fingerprint;
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
    /// The certificate's end of validity.
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
        let mut due: Vec<Notice> = self.warned().filter_map(|(id, member)| self.due_for(id, &member, now)).collect();
        due.sort_by(|a, b| (b.threshold, a.not_after, a.item).cmp(&(a.threshold, b.not_after, b.item)));
        due
    }

    /// The warnings that were announced, that nobody has seen, and that may come back now that somebody is there who shows
    /// them: those never shown at once, the others at most once a day and by day.
    pub fn returning(&self, now: Now) -> Vec<Notice> {
        let returns = |(id, member): (ItemId, Member<'_>)| {
            let told = self.told.get(&member.certificate.fingerprint)?;
            let may = !told.seen && (!told.shown || may_return(told.at, told.threshold, now));
            let threshold = life(&member).passed(now)?;
            may.then(|| notice(id, &member, threshold))
        };
        self.warned().filter_map(returns).collect()
    }

    /// The next moment at which something becomes due or looks otherwise.
    pub fn next_wake(&self, now: Now) -> Option<DateTime<Utc>> {
        let moments = self.sights.identities().flat_map(|id| {
            self.current(id).into_iter().flat_map(|member| {
                let told = self.told.get(&member.certificate.fingerprint);
                let snooze = told.and_then(|told| told.snoozed_until);
                [life(&member).next(now), snooze, Some(member.certificate.not_before)]
            })
        });
        moments.flatten().filter(|moment| *moment > now).min()
    }

    /// The items that look otherwise now than at `since`, by the passing of time alone. A clock that was set back passes, too.
    pub fn turned(&self, since: DateTime<Utc>, now: Now) -> BTreeSet<ItemId> {
        let (earlier, later) = if since <= now { (since, now.to_utc()) } else { (now.to_utc(), since) };
        let within = |moment: DateTime<Utc>| earlier < moment && moment <= later;
        let turned = |id: &ItemId| {
            self.current(*id).iter().any(|member| {
                let passed = life(member).thresholds(*now.offset()).any(|(_, moment)| within(moment));
                passed || within(member.certificate.not_before)
            })
        };
        self.sights.identities().filter(turned).collect()
    }

    /// The certificates of an item about which a person was told.
    pub fn told(&self, item: ItemId) -> Vec<Fingerprint> {
        let current = self.current(item);
        let fingerprints = current.iter().map(|member| member.certificate.fingerprint);
        fingerprints.filter(|fingerprint| self.told.contains_key(fingerprint)).collect()
    }

    /// Each item that warns, with its certificate that ends first. One that is being renewed does not.
    fn warned(&self) -> impl Iterator<Item = (ItemId, Member<'_>)> {
        let renewing: Vec<ItemId> = self.jobs().filter(|(_, job)| !job.is_ended()).map(|(_, job)| job.start.identity).collect();
        self.sights
            .identities()
            .filter(move |id| !renewing.contains(id))
            .filter_map(|id| Some((id, self.current(id).into_iter().next()?)))
    }

    fn due_for(&self, id: ItemId, member: &Member<'_>, now: Now) -> Option<Notice> {
        let threshold = life(member).passed(now)?;
        let due = match self.told.get(&member.certificate.fingerprint) {
            None => true,
            Some(told) => match told.snoozed_until {
                Some(until) => until <= now,
                None => threshold > told.threshold,
            },
        };
        due.then(|| notice(id, member, threshold))
    }
}

/// A member's life as the schedule sees it. No programme that is built in has a cliff: the deadline is the end of validity.
pub(super) fn life(member: &Member<'_>) -> Life {
    let certificate = member.certificate;
    Life { not_before: certificate.not_before, not_after: certificate.not_after, deadline: certificate.not_after }
}

fn notice(item: ItemId, member: &Member<'_>, threshold: Threshold) -> Notice {
    Notice {
        item,
        certificate: member.certificate.fingerprint,
        name: member.certificate.name().to_owned(),
        threshold,
        not_after: member.certificate.not_after,
    }
}
