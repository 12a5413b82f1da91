//! The log: the journal's records as they are shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use obnova_api::LogView;
use obnova_core::World;
use obnova_core::job::{JobEvent, Outcome};
use obnova_core::record::{Entry, Record};

use super::views::{made, time};

/// A record as it is shown.
pub(super) fn line(entry: &Entry, world: &World) -> LogView {
    let (event, args) = describe(entry, world);
    LogView {
        sequence: entry.sequence,
        at: time(entry.at),
        event: event.into(),
        args: args.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        item: item(entry, world),
    }
}

fn describe(entry: &Entry, world: &World) -> (&'static str, BTreeMap<&'static str, String>) {
    let (event, args): (_, Vec<(&'static str, String)>) = match &entry.record {
        Record::Born { .. } => ("born", vec![]),
        Record::Watched { place } => ("watched", vec![("place", place.to_string())]),
        Record::Unwatched { place } => ("unwatched", vec![("place", place.to_string())]),
        Record::Excluded { place } => ("excluded", vec![("place", place.to_string())]),
        Record::Remembered { place } => ("remembered", vec![("place", place.to_string())]),
        Record::Forgotten { place } => ("forgotten", vec![("place", place.to_string())]),
        Record::MailboxAdded { mailbox } => ("mailbox-added", vec![("place", mailbox.address())]),
        Record::MailboxRemoved { address } => ("mailbox-removed", vec![("place", address.clone())]),
        Record::Announced { name, threshold, not_after, .. } => (
            "announced",
            vec![
                ("name", name.clone()),
                ("threshold", threshold.to_string()),
                ("not_after", time(*not_after)),
                ("days", (*not_after - entry.at).num_days().to_string()),
            ],
        ),
        Record::Seen { name, .. } => ("seen", vec![("name", name.clone())]),
        Record::Snoozed { name, until, .. } => ("snoozed", vec![("name", name.clone()), ("until", time(*until))]),
        Record::Replaced { name, place } => ("replaced", vec![("name", name.clone()), ("place", place.to_string())]),
        Record::Letter { letter } => (
            "letter-came",
            vec![
                ("kind", letter.kind.as_str().to_owned()),
                ("standing", letter.standing.as_str().to_owned()),
                ("programme", letter.programme.clone()),
            ],
        ),
        Record::LetterTold { name, word, .. } => (word.as_str(), vec![("name", name.clone())]),
        Record::Ordered { name, .. } => ("ordered", vec![("name", name.clone())]),
        Record::Revoked { name, revoked, .. } => (
            "revoked",
            vec![("name", name.clone()), ("since", time(revoked.since)), ("reason", revoked.reason.as_str().to_owned())],
        ),
        Record::Reinstated { name, .. } => ("reinstated", vec![("name", name.clone())]),
        Record::Job { job, what } => return describe_job(*job, what, entry.at, world),
    };
    (event, args.into_iter().collect())
}

fn describe_job(
    number: u64,
    event: &JobEvent,
    at: DateTime<Utc>,
    world: &World,
) -> (&'static str, BTreeMap<&'static str, String>) {
    let mut args = BTreeMap::from([("job", number.to_string())]);
    let job = world.job(number);
    if let Some(job) = job {
        args.insert("name", job.start.name.clone());
    }
    let event = match event {
        JobEvent::Started(start) => {
            args.insert("programme", start.programme.clone());
            "job-started"
        }
        JobEvent::Intended { intent } => {
            args.insert("step", intent.step().to_string());
            "step-begun"
        }
        JobEvent::Done { outcome: Outcome::Consent {} } => "consented",
        // Of several, the last.
        JobEvent::Done { outcome: Outcome::RetireOld {} } if job.is_none_or(|job| job.finished == Some(at)) => {
            let made = job.map(|job| job.made.iter().map(made).collect::<Vec<_>>());
            args.insert("made", made.unwrap_or_default().join(", "));
            "job-done"
        }
        JobEvent::Done { outcome } => {
            args.insert("step", outcome.step().to_string());
            "step-done"
        }
        JobEvent::Failed { step, problem } => {
            args.insert("step", step.to_string());
            args.insert("problem", problem.kind());
            "step-failed"
        }
        JobEvent::Resumed {} => "job-resumed",
        JobEvent::Brought { .. } => "job-brought",
        JobEvent::Cancelled {} => "job-cancelled",
        JobEvent::Overtaken { .. } => "job-overtaken",
    };
    (event, args)
}

fn item(entry: &Entry, world: &World) -> Option<String> {
    let id = match &entry.record {
        Record::Announced { item, .. }
        | Record::LetterTold { item, .. }
        | Record::Revoked { item, .. }
        | Record::Reinstated { item, .. } => *item,
        Record::Letter { letter } => world.verdict(letter).1?,
        Record::Watched { place }
        | Record::Unwatched { place }
        | Record::Excluded { place }
        | Record::Remembered { place }
        | Record::Forgotten { place } => world.place_id(place),
        Record::MailboxAdded { mailbox } => world.mailbox_id(&mailbox.address()),
        Record::MailboxRemoved { address } => world.mailbox_id(address),
        Record::Job { job, .. } => world.renewal_id(*job),
        Record::Seen { certificate, .. } | Record::Snoozed { certificate, .. } | Record::Ordered { certificate, .. } => {
            world.identity_of(certificate)?
        }
        Record::Born { .. } | Record::Replaced { .. } => return None,
    };
    Some(id.to_string())
}
