//! Which certificate has taken the place of which other, whoever made it.

use super::World;
use crate::certificate::{Certificate, Fingerprint};
use crate::identity::Member;
use crate::item::ItemId;
use crate::job::{Bytes, Job, JobEvent, Old, Phase, Start};
use crate::place::Place;
use crate::plan::Step;
use crate::problem::Problem;
use crate::record::Record;

impl World {
    /// The renewals that have nothing to renew any more, because all of their certificates have been renewed elsewhere, and a
    /// certificate that did it.
    pub fn overtaken(&self) -> Vec<(u64, Fingerprint)> {
        let overtaken = |(number, job): (&u64, &Job)| {
            let own = |member| job.certificate(member).map(Fingerprint::of);
            let successors = (0..job.start.old.len()).map(|member| self.successor(&job.start, member, own(member)));
            let successors = successors.collect::<Option<Vec<&Certificate>>>()?;
            Some((*number, successors.first()?.fingerprint))
        };
        self.jobs.iter().filter(|(_, job)| job.may_be_overtaken()).filter_map(overtaken).collect()
    }

    /// The renewals that wait for what other programs make, where all of it is here. One that has met another problem since is a
    /// person's: it would meet it again at each change.
    pub fn arrived(&self) -> Vec<u64> {
        let waits = |job: &Job| matches!(job.phase, Phase::Waiting(Problem::AtPage { .. }, _));
        let arrived = self.jobs.iter().filter(|(_, job)| waits(job) && self.made_elsewhere(&job.start).is_some());
        arrived.map(|(number, _)| *number).collect()
    }

    /// What renewals wait for among these certificates (DER): one for a key of theirs.
    pub fn awaited(&self, certificates: &[Bytes]) -> Vec<Record> {
        let of_job = |(number, job): (&u64, &Job)| {
            let awaited = certificates.iter().filter(|certificate| job.awaits(certificate));
            let brought = |certificate: &Bytes| JobEvent::Brought { certificate: certificate.clone() };
            awaited.map(|certificate| Record::Job { job: *number, what: brought(certificate) }).collect::<Vec<_>>()
        };
        self.jobs.iter().flat_map(of_job).collect()
    }

    /// The certificates in watched places for which a renewal of ours holds the key and waits.
    pub fn lying_awaited(&self) -> Vec<Fingerprint> {
        let waits = |job: &&Job| job.step() == Some(Step::AwaitIssue) && job.start.plan.makes_keys() && !job.is_ended();
        let keys: Vec<Fingerprint> = self
            .jobs
            .values()
            .filter(waits)
            .flat_map(|job| (0..job.start.old.len()).filter_map(|member| job.public_key(member).map(Fingerprint::of)))
            .collect();
        if keys.is_empty() {
            return Vec::new();
        }
        let known = self.sights.all_known().map(|known| &known.certificate);
        known.filter(|certificate| keys.contains(&certificate.public_key)).map(|certificate| certificate.fingerprint).collect()
    }

    /// The certificates that other programs have made to take the places of those of a renewal, in their order, each with the place
    /// where its key lies; `None` while one of them is missing. Where the renewal says where, those there.
    pub fn made_elsewhere(&self, start: &Start) -> Option<Vec<(&Certificate, Place)>> {
        let found = |member| {
            let successor = self.successor(start, member, None)?;
            let wanted = |place: &Place| start.to.as_ref().is_none_or(|to| place.is_within(to));
            Some((successor, self.key_places(&successor.fingerprint).into_iter().find(wanted)?))
        };
        (0..start.old.len()).map(found).collect()
    }

    /// Certificates in watched places that may be links of this one's chain, from the issuer on.
    pub fn links(&self, certificate: &Certificate) -> Vec<Fingerprint> {
        /// Longer chains are not made.
        const LONGEST: usize = 8;
        let mut links: Vec<&Certificate> = Vec::new();
        let mut issuer = certificate.issuer();
        while links.len() < LONGEST {
            let of_issuer = |known: &&Certificate| known.authority && known.subject() == issuer && !known.self_issued();
            let Some(next) = self.sights.all_known().map(|known| &known.certificate).find(of_issuer) else { break };
            if links.iter().any(|link| link.fingerprint == next.fingerprint) {
                break;
            }
            links.push(next);
            issuer = next.issuer();
        }
        links.into_iter().map(|link| link.fingerprint).collect()
    }

    /// The places where a certificate lies with its key.
    fn key_places(&self, fingerprint: &Fingerprint) -> Vec<Place> {
        let Some(known) = self.sights.known(fingerprint) else { return Vec::new() };
        let mut places: Vec<Place> =
            self.sights.places(known).filter(|(_, key)| *key).map(|(look, _)| look.place.clone()).collect();
        places.sort_unstable();
        places
    }

    /// The certificates that those of this place would replace if they were adopted for an item: for each role the youngest older
    /// one.
    pub fn replaced_by(&self, item: ItemId, place: &Place) -> Vec<Member<'_>> {
        let news = self.places().filter(|other| other.is_within(place)).filter_map(|other| self.sights.look(other));
        let news = news.flat_map(|look| self.sights.found(look));
        let news: Vec<&Certificate> =
            news.filter(|(known, key)| *key && known.identity == item).map(|(known, _)| &known.certificate).collect();
        let olds = self.sights.members(item).map(|known| &known.certificate);
        let mut replaced: Vec<Member<'_>> = Vec::new();
        for old in olds.filter(|old| !self.retired.contains_key(&old.fingerprint)) {
            let Some(role) = self.role(old) else { continue };
            if !news.iter().any(|new| self.role(new) == Some(role) && new.not_before > old.not_before) {
                continue;
            }
            match replaced.iter_mut().find(|other| other.role == role) {
                Some(other) if other.certificate.not_before < old.not_before => other.certificate = old,
                Some(_) => {}
                None => replaced.push(Member { certificate: old, role, key_held: self.sights.is_key_held(old) }),
            }
        }
        replaced
    }

    fn role(&self, certificate: &Certificate) -> Option<&str> {
        self.programme_of(certificate).and_then(|programme| programme.role_of(certificate))
    }

    /// The certificate that has taken the place of one that is to be renewed, and that is not the renewal's `own`.
    fn successor(&self, start: &Start, member: usize, own: Option<Fingerprint>) -> Option<&Certificate> {
        let old: &Old = start.old.get(member)?;
        // Where the old one is gone, its end tells them apart.
        let before = self.certificate(&old.certificate).map(|old| old.not_before);
        let is_later = |other: &Certificate| match before {
            Some(before) => other.not_before > before,
            None => other.not_after > old.not_after,
        };
        let current = self.current(start.identity);
        let successor = current.iter().find(|other| {
            let certificate = other.certificate;
            let other_than = certificate.fingerprint != old.certificate && Some(certificate.fingerprint) != own;
            other_than && other.role == old.role && other.key_held && is_later(certificate)
        });
        successor.map(|successor| successor.certificate)
    }
}
