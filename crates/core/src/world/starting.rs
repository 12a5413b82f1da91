//! What a renewal is about when it starts, and which renewals start by themselves. Writing it down and doing it are the daemon's.

use std::collections::BTreeSet;

use super::World;
use crate::Now;
use crate::elsewhere::Elsewhere;
use crate::identity::Member;
use crate::item::ItemId;
use crate::job::{Old, Start};
use crate::place::{Place, Scheme};
use crate::problem::Problem;
use crate::programme::{self, InstallRule, Programme};

impl World {
    /// What a renewal of this item is about. `to`: where the person wants the new file; `uid`: who starts it.
    pub fn start(&self, id: ItemId, to: Option<Place>, uid: Option<u32>, now: Now) -> Result<Start, Problem> {
        let item = self.item(id, now).ok_or_else(|| Problem::NoSuchItem { id: id.to_string() })?;
        let current = self.current(id);
        let Some(first) = current.first() else {
            return Err(match item.state {
                "retired" => Problem::AlreadyRenewed {},
                state => Problem::NotPossible { action: "renew".into(), state: state.into() },
            });
        };
        if let Some(Elsewhere { tool, name, .. }) = self.elsewhere(first.certificate) {
            return Err(Problem::RenewedByTool { tool: tool.to_string(), called: name.clone() });
        }
        let programme = self.programme_of(first.certificate).ok_or(Problem::NoProgramme {})?;
        // What asks for the new one is the key of the old.
        let revoked = current.iter().find_map(|member| self.revocation_problem(member.certificate));
        if let Some(problem) = revoked.filter(|_| programme.authority.is_elsewhere()) {
            return Err(problem);
        }
        // Where the person says where, nothing is replaced.
        let install = if to.is_some() { InstallRule::Beside } else { programme.install };
        Ok(Start {
            identity: id,
            name: first.certificate.name().to_owned(),
            programme: programme.name.clone(),
            plan: programme.plan.clone(),
            old: self.olds(programme, &current)?,
            to,
            uid,
            auto: false,
            install,
        })
    }

    /// The renewals that start by themselves now: where the programme says so, the first warning would be due, and the key lies
    /// in a file that needs no password to be found, or whose password the configuration names. Each certificate once: what failed or was cancelled is a person's.
    pub fn starting(&self, now: Now) -> Vec<Start> {
        if self.programmes.iter().all(|programme| programme.start == programme::Start::Ask) {
            return Vec::new();
        }
        let ending = self.sights.all_known().filter(|known| self.life(&known.certificate).passed(now).is_some());
        let ending: BTreeSet<ItemId> = ending.map(|known| known.identity).collect();
        ending.into_iter().filter_map(|id| self.starts_itself(id, now)).collect()
    }

    fn starts_itself(&self, id: ItemId, now: Now) -> Option<Start> {
        let current = self.current(id);
        let programme = self.programme_of(current.first()?.certificate)?;
        self.life(current.first()?.certificate).passed(now)?;
        if programme.start != programme::Start::Auto || self.renewal_of(id).is_some() {
            return None;
        }
        let start = self.start(id, None, None, now).ok()?;
        let opens = |place: &Place| place.scheme() == Scheme::Pkcs12 && self.is_named_openable(place);
        let in_file = start.old.iter().all(|old| old.place.scheme() == Scheme::File || opens(&old.place));
        let tried = |old: &Old| self.jobs().any(|(_, job)| job.start.auto && job.start.old.contains(old));
        (in_file && !start.old.iter().any(tried)).then_some(Start { auto: true, ..start })
    }

    /// Whether a renewal puts a new file in this very place: what appears there is ours.
    pub fn is_replacing(&self, place: &Place) -> bool {
        let replaces = |job: &crate::Job| {
            let there = job.start.old.iter().any(|old| old.place == *place);
            job.start.install == InstallRule::Replace && !job.is_ended() && there
        };
        self.jobs().any(|(_, job)| replaces(job))
    }

    /// One certificate for each role, in the programme's order; of several, the one that ends first.
    fn olds(&self, programme: &Programme, current: &[Member<'_>]) -> Result<Vec<Old>, Problem> {
        let old = programme.matching.iter().map(|rule| {
            let member = current.iter().find(|member| member.role == rule.role);
            self.old(member.ok_or_else(|| Problem::TwinMissing { role: rule.role.clone() })?)
        });
        old.collect()
    }

    /// A certificate that is to be renewed, where its key is.
    pub fn old(&self, member: &Member<'_>) -> Result<Old, Problem> {
        let certificate = member.certificate;
        let place = self.places_of(&certificate.fingerprint).into_iter().next();
        let place = place.ok_or_else(|| Problem::NoSuchItem { id: certificate.fingerprint.to_string() })?;
        if !member.key_held {
            return Err(Problem::NoKey { path: place.shown() });
        }
        Ok(Old { certificate: certificate.fingerprint, role: member.role.to_owned(), place, not_after: certificate.not_after })
    }
}
