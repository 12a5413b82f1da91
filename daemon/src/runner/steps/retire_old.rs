//! The new certificate is used instead of the old one. A file is not touched, nor the copy of one
//! that was replaced: its key may be the only one that opens old mail. On a
//! card that moves keys, the new key goes where programs look for it and the old one where it still decrypts.

use obnova_core::card::Card;
use obnova_core::job::{Bytes, Intent, Outcome, Reservation};
use obnova_core::{Fingerprint, Place, Problem};

use super::Ground;
use crate::cards::step::CardStep;
use crate::runner::sitting::Sitting;

pub(super) async fn prepare(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Intent, Problem> {
    let new = ground.new_key()?;
    if ground.reservation()?.is_some_and(|reservation| reservation.archive.is_some()) {
        ground.open_card(sitting, &new.place).await?;
    }
    Ok(Intent::RetireOld { place: new.place.clone() })
}

pub(super) async fn perform(ground: &Ground<'_>, place: &Place, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let new = Fingerprint::of(ground.certificate()?);
    let sightings = if let Some(reservation) = ground.reservation()? {
        promote(ground, reservation, place, sitting).await?;
        let card = ground.look(place).await.map_err(|error| ground.card_problem(&error, place))?;
        all_shown(ground, &card)?;
        vec![crate::cards::sighting(&card)]
    } else if place.scheme().is_card() {
        // Tried where it lies; there is nothing to move.
        Vec::new()
    } else {
        // What the kernel has reported of it may not have reached the engine yet. What lay there before was opened when it was named.
        if ground.job.start.plan.makes_keys() {
            ground.tools.surveyor.forget(place.clone()).await;
        }
        ground.tools.surveyor.watch(place.clone()).await
    };
    ground.tools.engine.see(sightings).await?;
    let there = place.clone();
    let seen = ground.tools.engine.read(move |state| state.world.places_of(&new).contains(&there)).await?;
    // What was installed must be found by the same way as by everybody else, before the old is let go.
    if !seen {
        return Err(Problem::Unclear { step: "install".into(), path: place.shown() });
    }
    Ok(Outcome::RetireOld {})
}

/// The card shows all that was installed on it: else what it shows is not the whole, and nobody is told of it.
fn all_shown(ground: &Ground<'_>, card: &Card) -> Result<(), Problem> {
    let news = (0..ground.job.start.old.len()).filter_map(|member| ground.job.certificate(member));
    match news.into_iter().find(|new| card.spot_of(new).is_none()) {
        Some(_) => Err(Problem::CardFailed {
            card: card.label.clone(),
            detail: "a certificate that was installed is not shown".to_owned(),
        }),
        None => Ok(()),
    }
}

async fn promote(ground: &Ground<'_>, reservation: &Reservation, place: &Place, sitting: &mut Sitting) -> Result<(), Problem> {
    let Some(archive) = &reservation.archive else { return Ok(()) };
    let step = CardStep::Promote {
        from: reservation.spot.clone(),
        to: reservation.old.clone(),
        archive: archive.clone(),
        new: Bytes(ground.certificate()?.to_vec()),
        old: Bytes(ground.old_der().await?),
    };
    ground.at_card(sitting, place, step).await.map(|_| ())
}
