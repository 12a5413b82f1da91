//! What records mean for items, and the record of what was seen to be replaced. Writing them is the engine's.

use obnova_core::record::Record;
use obnova_core::world::{Found, Sight};
use obnova_core::{Entry, ItemId, World};

/// The items that a record makes look otherwise.
pub(super) fn touched_by(entry: &Entry, world: &World) -> Vec<ItemId> {
    match &entry.record {
        Record::Born { .. }
        | Record::Seen { .. }
        | Record::Replaced { .. }
        | Record::Remembered { .. }
        | Record::Forgotten { .. } => Vec::new(),
        Record::Watched { place } | Record::Unwatched { place } | Record::Excluded { place } => vec![world.place_id(place)],
        Record::MailboxAdded { mailbox } => vec![world.mailbox_id(&mailbox.address())],
        Record::MailboxRemoved { address } => vec![world.mailbox_id(address)],
        Record::Announced { item, .. }
        | Record::LetterTold { item, .. }
        | Record::Revoked { item, .. }
        | Record::Reinstated { item, .. } => vec![*item],
        Record::Letter { letter } => world.verdict(letter).1.into_iter().collect(),
        Record::Snoozed { certificate, .. } | Record::Ordered { certificate, .. } => {
            world.identity_of(certificate).into_iter().collect()
        }
        Record::Job { job, .. } => {
            let identity = world.job(*job).map(|job| job.start.identity);
            [Some(world.renewal_id(*job)), identity].into_iter().flatten().collect()
        }
    }
}

/// The record of another certificate having taken the place of one.
pub(super) fn replacement(before: &Sight, after: &Sight, place: &obnova_core::Place) -> Option<Record> {
    // On a card, several lie side by side, and come and go.
    if place.scheme().is_card() {
        return None;
    }
    let [old, ..] = before.certificates.as_slice() else { return None };
    let [new, ..] = after.certificates.as_slice() else { return None };
    let fingerprint = |found: &Found| found.certificate.fingerprint;
    let still_there = after.certificates.iter().any(|found| fingerprint(found) == fingerprint(old));
    (!still_there && fingerprint(new) != fingerprint(old))
        .then(|| Record::Replaced { name: new.certificate.name().to_owned(), place: place.clone() })
}
