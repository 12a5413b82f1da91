//! Certificates that were made elsewhere: those that a person names take the place of the old ones, and renewals that they make
//! needless end.

use obnova_core::job::{JobEvent, Old, Start};
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
        if place.scheme().is_card() {
            return Err(Problem::InvalidPlace { place: place.to_string(), reason: "unknown-scheme".into() });
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
    let (old, new) = world.replaced_by(id, place).ok_or_else(none)?;
    let programme = world.programme_of(new).ok_or(Problem::NoProgramme {})?;
    if programme.matching.len() > 1 {
        return Err(Problem::NotPossible { action: "adopt".into(), state: "several".into() });
    }
    let role = programme.role_of(new).unwrap_or_default().to_owned();
    let at = world.places_of(&old.fingerprint).into_iter().next().ok_or_else(none)?;
    let old_one = Old { certificate: old.fingerprint, role, place: at, not_after: old.not_after };
    Ok(Start {
        identity: id,
        name: old.name().to_owned(),
        programme: programme.name.clone(),
        plan: Plan::adoption(),
        old: vec![old_one],
        to: Some(place.clone()),
        uid,
        auto: false,
        install: InstallRule::Beside,
    })
}
