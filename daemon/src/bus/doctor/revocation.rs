//! What is known of a certificate's chain and of its revocation, as `doctor` tells it. It was found out before: nobody is asked now.

use obnova_api::CheckView;
use obnova_core::identity::Member;
use obnova_core::revocation::{Checked, Reach};
use obnova_core::{Level, Problem};

use super::{Subject, failed, with};
use crate::bus::views;

/// What is known of these certificates, which belong to one item of this problem.
pub(super) fn checks(
    subject: &Subject<'_>,
    members: &[Member<'_>],
    problem: Option<&Problem>,
    named: &impl Fn(&str, Level) -> CheckView,
) -> Vec<CheckView> {
    let issued =
        members.iter().filter(|member| !member.certificate.self_issued() && member.certificate.not_after > subject.now);
    issued.flat_map(|member| of_one(subject, member, problem, named)).collect()
}

fn of_one(
    subject: &Subject<'_>,
    member: &Member<'_>,
    problem: Option<&Problem>,
    named: &impl Fn(&str, Level) -> CheckView,
) -> Vec<CheckView> {
    let (world, fingerprint) = (subject.world, &member.certificate.fingerprint);
    let said = |level, standing: &str| with(named("revocation", level), "standing", standing.to_owned());
    let revoked = world.revoked(fingerprint).and(problem).filter(|problem| matches!(problem, Problem::Revoked { .. }));
    let revoked = revoked.map(|problem| failed(said(Level::Ok, "revoked"), Level::Critical, problem));
    let Some(checked) = world.checked(fingerprint) else {
        let waits = said(Level::Ok, if world.wants_checks() { "waiting" } else { "off" });
        return vec![revoked.unwrap_or(waits)];
    };
    vec![chain(checked, problem, named), revoked.unwrap_or_else(|| standing(subject, checked, &said))]
}

fn chain(checked: &Checked, problem: Option<&Problem>, named: &impl Fn(&str, Level) -> CheckView) -> CheckView {
    let view = |level| with(named("chain", level), "reach", checked.reach.as_str().to_owned());
    match problem {
        Some(problem @ Problem::AuthorityEnds { .. }) => failed(view(Level::Ok), Level::Warning, problem),
        _ if checked.reach == Reach::Anchor => view(Level::Ok),
        _ => view(Level::Notice),
    }
}

fn standing(subject: &Subject<'_>, checked: &Checked, said: &impl Fn(Level, &str) -> CheckView) -> CheckView {
    let view = match &checked.standing {
        Ok((_, way)) => with(said(Level::Ok, "good"), "way", way.as_str().to_owned()),
        Err(why) => with(said(Level::Notice, "unknown"), "why", why.as_str().to_owned()),
    };
    let hours = (subject.now.to_utc() - checked.at).num_hours().max(0);
    with(with(view, "count", hours.to_string()), "at", views::time(checked.at))
}
