//! From what is known to what is shown.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use obnova_api::{
    CertificateView, ItemView, JOB_PATH, JobView, LetterView, Level, NextStepView, ProblemView, ProgrammeView, ReasonView,
    RevocationView, RulesView, StatusView, StepView,
};
use obnova_core::item::{Item, Kind, NextStep};
use obnova_core::job::{Job, Phase};
use obnova_core::mail::{Letter, Reason, Verdict};
use obnova_core::{Certificate, Place, Problem, Programme, World};

use crate::engine::State;

/// Whose items these are, and in which scope.
#[derive(Clone, Debug)]
pub struct Household {
    /// The user's name.
    pub owner: String,
    /// `user` or `system`.
    pub scope: &'static str,
}

/// RFC 3339 in UTC, to the second.
pub fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A problem as it travels.
pub fn problem(problem: &Problem) -> ProblemView {
    ProblemView { kind: problem.kind(), args: problem.args(), who: problem.who().as_str().into(), by: None }
}

/// A problem as the answer to a call.
pub fn error(problem_: &Problem) -> obnova_api::Error {
    obnova_api::Error::Problem(problem(problem_))
}

/// A level as it travels.
pub fn level(level: obnova_core::Level) -> Level {
    match level {
        obnova_core::Level::Ok => Level::Ok,
        obnova_core::Level::Notice => Level::Notice,
        obnova_core::Level::Warning => Level::Warning,
        obnova_core::Level::Critical => Level::Critical,
    }
}

/// An item as it travels.
pub fn item(item: &Item, world: &World, household: &Household) -> ItemView {
    let mut view = ItemView {
        id: item.id.to_string(),
        kind: item.kind.as_str().into(),
        name: item.name.clone(),
        owner: household.owner.clone(),
        scope: household.scope.into(),
        state: item.state.into(),
        level: level(item.level).as_str().into(),
        deadline: item.deadline.map(time),
        next_step: item.next_step.as_ref().map(next_step),
        problem: item.problem.as_ref().map(problem),
        ..ItemView::default()
    };
    match &item.kind {
        Kind::Identity { programme, renewed_by, not_after, certificates, job, letter } => {
            view.programme.clone_from(programme);
            view.renewed_by = renewed_by.map(|tool| tool.to_string());
            view.not_after = Some(time(*not_after));
            let certificate = |(role, fingerprint, place): &(String, obnova_core::Fingerprint, Place)| {
                Some(self::certificate(role, world.certificate(fingerprint)?, place))
            };
            view.certificates = Some(certificates.iter().filter_map(certificate).collect());
            if let [(_, _, place), others @ ..] = certificates.as_slice()
                && others.iter().all(|(_, _, other)| other == place)
            {
                view.place = Some(place.to_string());
            }
            view.job = job.map(job_path);
            view.revocation = certificates.first().and_then(|(_, fingerprint, _)| revocation(fingerprint, world));
            view.letter = letter
                .and_then(|digest| {
                    world.letters().all_of(&digest).find(|letter| Some(&letter.programme) == view.programme.as_ref())
                })
                .map(|kept| self::letter(kept, world));
        }
        Kind::Place(place) => view.place = Some(place.to_string()),
        Kind::Mailbox { address } => view.place = Some(address.clone()),
        Kind::Renewal { job, identity } => {
            view.item = Some(identity.to_string());
            view.job = world.job(*job).is_some_and(|job| !job.is_ended()).then(|| job_path(*job));
        }
    }
    view
}

/// What was found out about a certificate, as it travels.
fn revocation(certificate: &obnova_core::Fingerprint, world: &World) -> Option<RevocationView> {
    let checked = world.checked(certificate)?;
    let revoked = world.revoked(certificate);
    let (way, why) = match &checked.standing {
        Ok((_, way)) => (Some(way.as_str().into()), None),
        Err(why) => (None, Some(why.as_str().into())),
    };
    Some(RevocationView {
        standing: match (revoked, &checked.standing) {
            (Some(_), _) => "revoked",
            (None, Ok(_)) => "good",
            (None, Err(_)) => "unknown",
        }
        .into(),
        chain: checked.reach.as_str().into(),
        at: time(checked.at),
        way,
        why,
        since: revoked.map(|revoked| time(revoked.since)),
        reason: revoked.map(|revoked| revoked.reason.as_str().into()),
        chain_ends: checked.authority_ends.as_ref().map(|ends| time(ends.0)),
    })
}

/// A letter as it travels, in view of the certificates that are known.
pub(super) fn letter(letter: &Letter, world: &World) -> LetterView {
    let (verdict, item) = world.verdict(letter);
    LetterView { item: item.map(|item| item.to_string()), ..judged(letter, &verdict) }
}

/// A letter as it travels, by this verdict.
pub(super) fn judged(letter: &Letter, verdict: &Verdict<'_>) -> LetterView {
    let reason = |reason: &Reason| ReasonView { why: reason.why.as_str().into(), about: reason.about.clone() };
    LetterView {
        programme: letter.programme.clone(),
        kind: verdict.kind.as_str().into(),
        standing: verdict.standing.as_str().into(),
        reasons: verdict.standing.reasons().iter().map(reason).collect(),
        sender: letter.sender.clone(),
        to: letter.content.to.clone(),
        arrived: time(letter.arrived),
        date: letter.date.map(time),
        serial: letter.content.serial.clone(),
        link: verdict.link().map(str::to_owned),
        item: None,
    }
}

/// A certificate as it travels.
pub(super) fn certificate(role: &str, certificate: &Certificate, place: &Place) -> CertificateView {
    CertificateView {
        role: role.to_owned(),
        subject: certificate.subject().to_owned(),
        issuer: certificate.issuer().to_owned(),
        serial: certificate.serial_hex(),
        not_before: time(certificate.not_before),
        not_after: time(certificate.not_after),
        sha256: certificate.fingerprint.to_string(),
        place: place.to_string(),
    }
}

/// What a renewal has made, as a person finds it: a file by its path, a card by its name.
pub fn made(place: &Place) -> String {
    if place.scheme().is_card() { place.name() } else { place.shown() }
}

/// The object path of a job.
pub fn job_path(job: u64) -> String {
    format!("{JOB_PATH}/{job}")
}

/// A job as it travels.
pub fn job(number: u64, job: &Job, world: &World) -> JobView {
    let done = job.steps_done();
    let active = matches!(job.phase, Phase::Intended(_) | Phase::Waiting(..));
    let step = |(position, step): (usize, &obnova_core::Step)| StepView {
        step: step.as_str().into(),
        state: match position.cmp(&done) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal if active => "active",
            _ => "pending",
        }
        .into(),
    };
    let problem = match &job.phase {
        Phase::Quarantined(reason) => Some(Problem::Quarantined { job: number.to_string(), reason: reason.clone() }),
        _ => job.problem().cloned(),
    };
    let made: Vec<String> = job.made.iter().map(made).collect();
    JobView {
        id: number,
        item: world.renewal_id(number).to_string(),
        subject: job.start.identity.to_string(),
        kind: "renewal".into(),
        name: job.start.name.clone(),
        state: job.state().into(),
        steps: job.start.plan.steps().iter().enumerate().map(step).collect(),
        started: time(job.started),
        finished: job.finished.map(time),
        problem: problem.as_ref().map(self::problem),
        made: (!made.is_empty()).then_some(made),
    }
}

/// What everybody sees of an item: its state and its dates. Its id, which means nothing, stands for its name. What is not named
/// here is not shown.
pub(super) fn outline(view: ItemView) -> ItemView {
    ItemView {
        name: view.id.clone(),
        id: view.id,
        kind: view.kind,
        owner: view.owner,
        scope: view.scope,
        state: view.state,
        level: view.level,
        deadline: view.deadline,
        next_step: view.next_step,
        problem: view.problem.map(outline_of_problem),
        not_after: view.not_after,
        item: view.item,
        job: view.job,
        ..ItemView::default()
    }
}

/// What everybody sees of a job.
pub(super) fn outline_of_job(view: JobView) -> JobView {
    JobView {
        name: view.item.clone(),
        id: view.id,
        item: view.item,
        subject: view.subject,
        kind: view.kind,
        state: view.state,
        steps: view.steps,
        started: view.started,
        finished: view.finished,
        problem: view.problem.map(outline_of_problem),
        made: None,
    }
}

/// What everybody sees of the daemon's health.
pub(super) fn outline_of_status(view: StatusView) -> StatusView {
    StatusView { first: view.first.map(outline), ..view }
}

/// The kind alone: the arguments are paths and names.
fn outline_of_problem(view: ProblemView) -> ProblemView {
    ProblemView { kind: view.kind, who: view.who, by: view.by, args: BTreeMap::new() }
}

/// A programme as it travels.
pub(super) fn programme(programme: &Programme) -> ProgrammeView {
    let rule = &programme.secret;
    ProgrammeView {
        name: programme.name.clone(),
        roles: programme.matching.iter().map(|rule| rule.role.clone()).collect(),
        authority: programme.authority.as_str().into(),
        key: programme.key.algorithm.to_string(),
        secret: RulesView { min: rule.min_length, max: rule.max_length, digits_only: rule.digits_only },
        steps: programme.plan.steps().iter().map(ToString::to_string).collect(),
        visiting_cards: programme.visiting_cards.iter().map(|card| card.mailbox.clone()).collect(),
        validity_days: programme.authority.validity_days(),
    }
}

/// The daemon's health.
pub fn status(state: &mut State, household: &Household) -> StatusView {
    let now = state.now();
    let ids = state.listing(false);
    let mut view = StatusView {
        version: env!("CARGO_PKG_VERSION").into(),
        scope: household.scope.into(),
        revision: state.revision,
        ..StatusView::default()
    };
    for level in Level::ALL {
        view.levels.insert(level.as_str().into(), 0);
    }
    let mut worst = Level::Ok;
    for id in ids.iter() {
        let Some(shown) = state.world.item(*id, now) else { continue };
        let level = level(shown.level);
        *view.levels.entry(level.as_str().into()).or_default() += 1;
        worst = worst.max(level);
        if let Kind::Identity { certificates, .. } = &shown.kind {
            view.watched += certificates.len() as u64;
        }
        if view.first.is_none() && shown.next_step.is_some() {
            view.first = Some(item(&shown, &state.world, household));
        }
    }
    view.level = worst.as_str().into();
    let mailboxes = state.world.mailbox_standings();
    let (read, all) = mailboxes.fold((0, 0), |(read, all), (_, standing)| (read + u64::from(standing.is_connected()), all + 1));
    view.mailboxes = (all > 0).then_some(read);
    view.next_wake = state.world.next_wake(now).map(time);
    view
}

pub(super) fn next_step(step: &NextStep) -> NextStepView {
    NextStepView {
        who: step.who.as_str().into(),
        what: step.what.into(),
        by: step.by.map(time),
        action: step.action.map(Into::into),
    }
}
