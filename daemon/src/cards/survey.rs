//! Looks at cards as they come and go, tells the engine what lies on them, and lets renewals go on that waited for one. Owns no
//! reader.

use std::collections::BTreeMap;

use obnova_core::card::Card;
use obnova_core::job::{JobEvent, Phase};
use obnova_core::record::Record;
use obnova_core::{Place, Problem};
use tokio::sync::mpsc;

use super::readers::ReaderEvent;
use super::slots::Slots;
use super::{Cards, sighting};
use crate::bus::agents::Requester;
use crate::engine::Engine;
use crate::runner::Runner;

/// Looks at what is there, then at what comes, for as long as the readers tell.
pub(crate) async fn survey(
    cards: Cards,
    engine: Engine,
    runner: Runner,
    mut events: Option<mpsc::UnboundedReceiver<ReaderEvent>>,
) -> Result<(), Problem> {
    let mut slots = Slots::new();
    cards.want_tokens();
    loop {
        let before = cards.present();
        let now = tokio::select! {
            event = next(&mut events) => {
                let Some(event) = event else { return Ok(()) };
                tracing::debug!(?event, "at the readers");
                match event {
                    ReaderEvent::CardInserted { reader } | ReaderEvent::CardReleased { reader } => cards.look_into(&reader).await,
                    // Whatever is in it by now is told next, and is then a card that came.
                    ReaderEvent::CardRemoved { reader } => cards.outside(&reader),
                    ReaderEvent::ServiceGone | ReaderEvent::NotInFront => BTreeMap::new(),
                    // What is inserted follows.
                    ReaderEvent::ServiceCame => continue,
                }
            }
            () = async { tokio::select! { () = cards.tokens_wanted.notified() => {}, () = slots.moved() => {} } } => {
                let Some(tokens) = cards.look_at_tokens(&engine).await? else {
                    slots.cease();
                    continue;
                };
                slots.listen(&cards);
                tokens
            }
        };
        take_note(&cards, &engine, &runner, &before, now).await?;
    }
}

/// What the readers tell next; never, if this daemon uses none. `None`: they tell nothing any more.
async fn next(events: &mut Option<mpsc::UnboundedReceiver<ReaderEvent>>) -> Option<ReaderEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// Makes known what lies on the cards that came, and lets the renewals go on that waited for them.
async fn take_note(
    cards: &Cards,
    engine: &Engine,
    runner: &Runner,
    before: &BTreeMap<Place, Card>,
    now: BTreeMap<Place, Card>,
) -> Result<(), Problem> {
    let come: Vec<Card> = now.values().filter(|card| before.get(&card.place) != Some(card)).cloned().collect();
    let gone: Vec<Place> = before.keys().filter(|place| !now.contains_key(place)).cloned().collect();
    cards.set_present(now);
    let taken_up = take_up(engine, &come).await?;
    see(engine, &come).await?;
    engine.cards_moved(come.iter().map(|card| card.place.clone()).collect(), gone).await?;
    for place in taken_up {
        engine.found(place).await?;
    }
    for card in come {
        for (job, uid) in waiting_for(engine, card.place).await? {
            let resumed = engine.write(move |world, _| match world.job(job).map(|job| &job.phase) {
                Some(Phase::Waiting(..)) => Ok(vec![Record::Job { job, what: JobEvent::Resumed {} }]),
                // Somebody else was quicker.
                _ => Ok(Vec::new()),
            });
            resumed.await?;
            runner.drive(job, Requester { uid, ..Requester::default() });
        }
    }
    Ok(())
}

/// Watches the cards that belong to a programme and that nobody has spoken of yet; which they are.
async fn take_up(engine: &Engine, cards: &[Card]) -> Result<Vec<Place>, Problem> {
    let seen: Vec<_> = cards.iter().map(sighting).filter_map(|seen| Some((seen.place, seen.sight?.certificates))).collect();
    let new = engine.read(move |state| {
        let new = seen.into_iter().filter(|(place, found)| state.world.takes_up(place, found));
        new.map(|(place, _)| place).collect::<Vec<Place>>()
    });
    let new = new.await?;
    let places = new.clone();
    engine.write(move |_, _| Ok(places.into_iter().map(|place| Record::Watched { place }).collect())).await?;
    Ok(new)
}

/// Tells the engine of those cards that are watched.
pub(crate) async fn see(engine: &Engine, cards: &[Card]) -> Result<(), Problem> {
    let sightings: Vec<_> = cards.iter().map(sighting).collect();
    let places: Vec<Place> = cards.iter().map(|card| card.place.clone()).collect();
    let watched = engine.read(move |state| {
        let watched = |place: &Place| state.world.watches().any(|watch| place.is_within(watch));
        places.iter().map(watched).collect::<Vec<bool>>()
    });
    let watched = sightings.into_iter().zip(watched.await?).filter_map(|(sighting, watched)| watched.then_some(sighting));
    engine.see(watched.collect()).await.map(drop)
}

/// The renewals that wait for this card, and who started them.
async fn waiting_for(engine: &Engine, place: Place) -> Result<Vec<(u64, Option<u32>)>, Problem> {
    let waiting = engine.read(move |state| {
        let waits = |problem: Option<&Problem>| {
            matches!(
                problem,
                Some(
                    Problem::CardAbsent { .. }
                        | Problem::CardRemoved { .. }
                        | Problem::NotInFront { .. }
                        | Problem::NoCardService { .. }
                )
            )
        };
        let jobs =
            state.world.jobs().filter(|(_, job)| waits(job.problem()) && job.start.old.iter().any(|old| old.place == place));
        jobs.map(|(number, job)| (number, job.start.uid)).collect()
    });
    waiting.await
}
