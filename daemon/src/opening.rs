//! What opens a file without asking anybody: a credential that is named for it, or what the person's keyring has. Whether it is asked
//! for at all is the runner's and the bus's; what was seen then is the engine's.

use obnova_core::world::{Condition, Sight};
use obnova_core::{Place, Problem};

use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::keyring::Keyring;
use crate::stores::{Sighting, Surveyor};

/// Lets the engine see, and opens those places that are locked and whose passwords are at hand. Where that does not help, the person is
/// told.
pub(crate) async fn see(
    engine: &Engine,
    surveyor: &Surveyor,
    keyring: &Keyring,
    credentials: &Credentials,
    sightings: Vec<Sighting>,
) -> Result<(), Problem> {
    let locked = |sighting: &&Sighting| sighting.sight.as_ref().is_some_and(is_locked);
    let locked: Vec<Place> = sightings.iter().filter(locked).map(|sighting| sighting.place.clone()).collect();
    if locked.is_empty() {
        return engine.see(sightings).await.map(drop);
    }
    // Told once, when it happens, and not again at each start.
    let at_hand = engine.read(move |state| {
        let was_locked = |place: &Place| state.world.sight(place).is_some_and(|sight| is_locked(&sight));
        let at_hand = locked.into_iter().filter(|place| state.world.is_openable(place));
        at_hand.map(|place| (was_locked(&place), place)).collect::<Vec<(bool, Place)>>()
    });
    let at_hand = at_hand.await?;
    engine.see(sightings).await?;
    for (was_locked, place) in at_hand {
        match open(surveyor, keyring, credentials, &place).await {
            Ok(sighting) => drop(engine.see(vec![sighting]).await?),
            Err(problem) => {
                // The doctor says which credential it is; a keyring that is closed now may be open later.
                tracing::warn!(kind = problem.kind(), "what is at hand does not open a file");
                tracing::debug!(%problem, "what is at hand does not open a file");
                if !was_locked {
                    engine.locked(place).await?;
                }
            }
        }
    }
    Ok(())
}

fn is_locked(sight: &Sight) -> bool {
    matches!(sight.condition, Condition::Locked | Condition::Changed)
}

async fn open(surveyor: &Surveyor, keyring: &Keyring, credentials: &Credentials, place: &Place) -> Result<Sighting, Problem> {
    let Some((named, secret)) = credentials.find(place) else {
        let password = keyring.find(place, false).await?.ok_or(Problem::KeyringClosed {})?;
        return surveyor.open(place, &password).await;
    };
    match surveyor.open(place, &secret?).await {
        Err(Problem::WrongSecret { .. }) => Err(named.wrong(place)),
        other => other,
    }
}
