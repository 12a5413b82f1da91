//! The new place is watched instead of the old one. The old file is not touched: its key may be the only one that opens old mail.

use obnova_core::job::{Intent, Outcome};
use obnova_core::{Fingerprint, Place, Problem};

use super::Ground;

pub(super) fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    Ok(Intent::RetireOld { place: ground.new_key()?.place.clone() })
}

pub(super) async fn perform(ground: &Ground<'_>, place: &Place) -> Result<Outcome, Problem> {
    let new = Fingerprint::of(ground.certificate()?);
    let sightings = ground.tools.surveyor.watch(place.clone()).await;
    ground.tools.engine.see(sightings).await?;
    let there = place.clone();
    let seen = ground.tools.engine.read(move |state| state.world.places_of(&new).contains(&there)).await?;
    // What was installed must be found by the same way as by everybody else, before the old is let go.
    if !seen {
        return Err(Problem::Unclear { step: "install".into(), path: place.shown() });
    }
    Ok(Outcome::RetireOld {})
}
