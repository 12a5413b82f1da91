//! Certificates that were made elsewhere: those that a person names take the place of the old ones, and renewals that they make
//! needless end.

use obnova_core::job::{Bytes, JobEvent, Old, Start};
use obnova_core::programme::InstallRule;
use obnova_core::record::Record;
use obnova_core::{ItemId, Now, Place, Plan, Problem, World};

use super::Desk;
use super::agents::Requester;

impl Desk {
    /// Has a certificate that exists already, in this place, take the place of an item's; the number of the job. The place is
    /// watched from then on.
    pub(super) async fn adopt(&self, id: ItemId, place: Place, requester: Requester) -> Result<u64, Problem> {
        let watched = place.clone();
        let look = move |state: &mut crate::engine::State| {
            let known = state.world.item(id, state.now()).is_some();
            (known, state.world.renewal_of(id).map(|(number, _)| number), state.world.is_watched(&watched))
        };
        let (known, running, before) = self.engine.read(look).await?;
        if !known {
            return Err(Problem::NoSuchItem { id: id.to_string() });
        }
        if let Some(job) = running {
            return Err(Problem::AlreadyRenewing { job: job.to_string() });
        }
        self.watch(place.clone(), &requester).await?;
        let (there, uid) = (place.clone(), requester.uid);
        let started = self.engine.write(move |world, _| {
            let start = start(world, id, &there, uid)?;
            Ok(vec![Record::Job { job: world.next_job(), what: JobEvent::Started(Box::new(start)) }])
        });
        if let Err(problem) = started.await {
            // What was watched only for this is not watched on.
            if !before {
                let records = vec![Record::Unwatched { place: place.clone() }];
                self.engine.write(move |_, _| Ok(records)).await?;
                self.surveyor.unwatch(place).await;
                self.engine.forget_unwatched().await?;
            }
            return Err(problem);
        }
        let number = self.engine.read(move |state| state.world.renewal_of(id).map(|(number, _)| number)).await?;
        let number = number.ok_or(Problem::Internal { detail: "the adoption that began is not there".into() })?;
        self.runner.drive(number, requester);
        Ok(number)
    }

    /// Drives a job on, asking whoever started it where somebody must be asked.
    pub(super) async fn go_on(&self, number: u64) {
        let uid = self.engine.read(move |state| state.world.job(number).and_then(|job| job.start.uid)).await;
        // Without an engine nothing is driven any more.
        if let Ok(uid) = uid {
            self.runner.drive(number, Requester { uid, ..Requester::default() });
        }
    }

    /// Goes on with the renewals for which other programs have made what they wait for, or for whose keys a certificate lies there.
    pub(super) async fn go_on_with_arrived(&self) -> Result<(), Problem> {
        let mut lying = Vec::new();
        for fingerprint in self.engine.read(|state| state.world.lying_awaited()).await? {
            let der = self.engine.journal().der(fingerprint).await.map_err(|error| crate::engine::journal_problem(&error))?;
            lying.extend(der.map(Bytes));
        }
        if !lying.is_empty() {
            self.engine.write(move |world, _| Ok(world.awaited(&lying))).await?;
        }
        for number in self.engine.read(|state| state.world.arrived()).await? {
            let uid = self.engine.read(move |state| state.world.job(number).and_then(|job| job.start.uid)).await?;
            match self.resume(number, Requester { uid, ..Requester::default() }).await {
                // Somebody else has just said so.
                Ok(()) | Err(Problem::NotWaiting { .. }) => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }

    /// Ends the renewals of what has been renewed elsewhere meanwhile.
    pub(super) async fn end_overtaken(&self) -> Result<(), Problem> {
        for (number, _) in self.engine.read(|state| state.world.overtaken()).await? {
            // As with a cancelled one: who drives it stops first.
            self.runner.stop(number).await;
            let ends = move |world: &World, _: Now| {
                let overtaken = world.overtaken().into_iter().filter(|(job, _)| *job == number);
                Ok(overtaken.map(|(job, by)| Record::Job { job, what: JobEvent::Overtaken { by } }).collect())
            };
            self.engine.write(ends).await?;
            let uid = self.engine.read(move |state| {
                let job = state.world.job(number)?;
                (!job.is_ended()).then_some(job.start.uid)
            });
            match uid.await? {
                // Its own certificate was on the way already.
                Some(uid) => self.runner.drive(number, Requester { uid, ..Requester::default() }),
                None => self.runner.tidy(number).await,
            }
        }
        Ok(())
    }
}

/// What the adoption of what is in a place would be about.
fn start(world: &World, id: ItemId, place: &Place, uid: Option<u32>) -> Result<Start, Problem> {
    let none = || Problem::NoSuccessor { path: place.shown() };
    let replaced = world.replaced_by(id, place);
    let first = replaced.first().ok_or_else(none)?.certificate;
    let programme = world.programme_of(first).ok_or(Problem::NoProgramme {})?;
    let old = programme.matching.iter().map(|rule| {
        let old = replaced.iter().find(|old| old.role == rule.role);
        let certificate = old.ok_or_else(|| Problem::TwinMissing { role: rule.role.clone() })?.certificate;
        let at = world.places_of(&certificate.fingerprint).into_iter().next().ok_or_else(none)?;
        Ok(Old { certificate: certificate.fingerprint, role: rule.role.clone(), place: at, not_after: certificate.not_after })
    });
    Ok(Start {
        identity: id,
        name: first.name().to_owned(),
        programme: programme.name.clone(),
        plan: Plan::adoption(!programme.consumers.is_empty()),
        old: old.collect::<Result<_, _>>()?,
        to: Some(place.clone()),
        uid,
        auto: false,
        install: InstallRule::Beside,
    })
}
