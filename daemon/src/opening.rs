//! What opens a file without asking anybody: a credential that is named for it, or what the person's keyring has. Whether it is asked
//! for at all is the runner's and the bus's; what was seen then is the engine's.

use obnova_core::world::Condition;
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
    let locked = |sighting: &&Sighting| {
        let sight = sighting.sight.as_ref();
        sight.is_some_and(|sight| matches!(sight.condition, Condition::Locked | Condition::Changed))
    };
    let locked: Vec<Place> = sightings.iter().filter(locked).map(|sighting| sighting.place.clone()).collect();
    engine.see(sightings).await?;
    if locked.is_empty() {
        return Ok(());
    }
    let at_hand = engine.read(move |state| {
        let at_hand = |place: &Place| state.world.is_openable(place);
        locked.into_iter().filter(at_hand).collect::<Vec<Place>>()
    });
    for place in at_hand.await? {
        match open(surveyor, keyring, credentials, &place).await {
            Ok(sighting) => drop(engine.see(vec![sighting]).await?),
            Err(problem) => {
                // The doctor says which credential it is; a keyring that is closed now may be open later.
                tracing::warn!(kind = problem.kind(), "what is at hand does not open a file");
                tracing::debug!(%problem, "what is at hand does not open a file");
                engine.locked(place).await?;
            }
        }
    }
    Ok(())
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
