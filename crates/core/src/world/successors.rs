//! Which certificate has taken the place of which other, whoever made it.

use super::World;
use crate::certificate::{Certificate, Fingerprint};
use crate::item::ItemId;
use crate::job::{Job, Old};
use crate::place::Place;

impl World {
    /// The renewals that have nothing to renew any more, because all of their certificates have been renewed elsewhere, and a
    /// certificate that did it.
    pub fn overtaken(&self) -> Vec<(u64, Fingerprint)> {
        let overtaken = |(number, job): (&u64, &Job)| {
            let successors = (0..job.start.old.len()).map(|member| self.successor(job, member));
            let successors = successors.collect::<Option<Vec<Fingerprint>>>()?;
            Some((*number, *successors.first()?))
        };
        self.jobs.iter().filter(|(_, job)| job.may_be_overtaken()).filter_map(overtaken).collect()
    }

    /// The certificate that a certificate of this place would replace if it were adopted for an item: of the same role, older, and
    /// the youngest of those. With it, the one that replaces it.
    pub fn replaced_by(&self, item: ItemId, place: &Place) -> Option<(&Certificate, &Certificate)> {
        let look = self.sights.look(place)?;
        let ours = self.sights.found(look).filter(|(known, key)| *key && known.identity == item).map(|(known, _)| known);
        ours.filter_map(|new| {
            let new = &new.certificate;
            let old = self.sights.members(item).map(|known| &known.certificate);
            let old = old.filter(|old| {
                let older = old.not_before < new.not_before && self.role(old) == self.role(new);
                older && !self.retired.contains_key(&old.fingerprint)
            });
            Some((old.max_by_key(|old| old.not_before)?, new))
        })
        .max_by_key(|(_, new)| new.not_before)
    }

    fn role(&self, certificate: &Certificate) -> Option<&str> {
        self.programme_of(certificate).and_then(|programme| programme.role_of(certificate))
    }

    /// The certificate that has taken the place of one that a job is to renew, and that the job has not made.
    fn successor(&self, job: &Job, member: usize) -> Option<Fingerprint> {
        let old: &Old = job.start.old.get(member)?;
        let own = job.certificate(member).map(Fingerprint::of);
        // Where the old one is gone, its end tells them apart.
        let before = self.certificate(&old.certificate).map(|old| old.not_before);
        let is_later = |other: &Certificate| match before {
            Some(before) => other.not_before > before,
            None => other.not_after > old.not_after,
        };
        let current = self.current(job.start.identity);
        let successor = current.iter().find(|other| {
            let certificate = other.certificate;
            let other_than = certificate.fingerprint != old.certificate && Some(certificate.fingerprint) != own;
            other_than && other.role == old.role && other.key_held && is_later(certificate)
        });
        successor.map(|successor| successor.certificate.fingerprint)
    }
}
