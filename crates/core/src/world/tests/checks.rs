//! What follows from revocation and from chains, and when each certificate is looked at.

use super::*;
use crate::item::{Level, Who};
use crate::programme::Programme;
use crate::revocation::{Checked, Reach, Reason, Revoked, Standing, Way, Why};

const TWO_MINUTES: Duration = Duration::minutes(2);

fn anna() -> Certificate {
    issued("Anna", 1, "CA")
}

/// A world in which somebody looks, and Anna's certificate in it.
fn watching() -> (Story, Certificate) {
    let mut story = Story::new();
    story.world.want_checks(true);
    story.watch("p12:/m/a.p12");
    story.see("p12:/m/a.p12", readable(&[(&anna(), true)]));
    (story, anna())
}

fn at(hours: i64) -> Now {
    (noon() + Duration::hours(hours)).fixed_offset()
}

fn found(now: Now, standing: Result<Standing, Why>) -> Checked {
    Checked {
        at: now.to_utc(),
        again: now.to_utc() + Duration::hours(25),
        failures: u32::from(standing.is_err()),
        standing: standing.map(|standing| (standing, Way::Ocsp)),
        reach: Reach::Anchor,
        authority_ends: None,
    }
}

fn because(reason: Reason) -> Revoked {
    Revoked { since: noon() - days(1), reason }
}

impl Story {
    /// What was found out, and what is written down of it.
    fn check(&mut self, now: Now, of: &Certificate, standing: Result<Standing, Why>) -> bool {
        let (_, record) = self.world.note_check(of.fingerprint, found(now, standing));
        let written = record.is_some();
        if let Some(record) = record {
            self.write(now.to_utc(), record);
        }
        written
    }

    fn due_to_check(&self, now: Now) -> Vec<Fingerprint> {
        self.world.to_check(now).into_iter().collect()
    }
}

#[test]
fn a_new_certificate_is_looked_at_soon_and_then_once_a_day() {
    let (mut story, anna) = watching();
    assert_eq!(story.world.next_check(at(0)), None, "nobody has decided when");
    story.world.plan_checks(at(0), || TWO_MINUTES);
    story.world.plan_checks(at(0), || days(3));
    assert_eq!(story.due_to_check(at(0)), []);
    assert_eq!(story.world.next_wake(at(0)), Some(noon() + TWO_MINUTES), "once it is decided");
    assert_eq!(story.due_to_check(at(1)), [anna.fingerprint]);
    assert!(!story.check(at(1), &anna, Ok(Standing::Good)));
    for hours in [1, 2, 24, 25] {
        assert_eq!(story.due_to_check(at(hours)), [], "{hours}");
        assert_eq!(story.world.next_check(at(hours)), Some(noon() + Duration::hours(26)));
    }
    assert_eq!(story.due_to_check(at(26)), [anna.fingerprint]);
    assert_eq!(story.world.next_check(at(26)), None, "it is due already");
    // A clock that was far ahead keeps nobody waiting.
    story.check(at(24 * 400), &anna, Ok(Standing::Good));
    assert_eq!(story.due_to_check(at(30)), [anna.fingerprint]);
}

#[test]
fn what_is_due_soon_is_looked_at_with_what_is_due() {
    let (mut story, anna) = watching();
    let boris = issued("Boris", 1, "CA");
    story.see("p12:/m/b.p12", readable(&[(&boris, true)]));
    story.check(at(0), &anna, Ok(Standing::Good));
    story.check(at(2), &boris, Ok(Standing::Good));
    assert_eq!(story.due_to_check(at(25)), [anna.fingerprint], "the other was looked at less than a day ago");
    let mut both = vec![anna.fingerprint, boris.fingerprint];
    both.sort_unstable();
    assert_eq!(story.due_to_check(at(26)), both);
}

#[test]
fn only_what_is_watched_and_in_use_is_looked_at() {
    let looked_at = |story: &mut Story| {
        story.world.plan_checks(at(0), || TWO_MINUTES);
        story.due_to_check(at(1))
    };
    let (mut story, anna) = watching();
    story.world.want_checks(false);
    assert_eq!(looked_at(&mut story), [], "nobody wants it");
    let mut story = Story::new();
    story.world.want_checks(true);
    assert_eq!(looked_at(&mut story), [], "nothing is watched");
    story.see("p12:/m/own.p12", readable(&[(&own("Own", 1), true)]));
    story.see("p12:/m/past.p12", readable(&[(&ending(issued("Past", 1, "CA"), noon() - days(1)), true)]));
    story.see("p12:/m/old.p12", readable(&[(&ending(issued("Anna", 9, "CA"), noon() + days(20)), true)]));
    story.see("p12:/m/new.p12", readable(&[(&anna, true)]));
    assert_eq!(looked_at(&mut story), [anna.fingerprint]);
    story.world.observe(&place("p12:/m/new.p12"), None);
    assert_eq!(story.due_to_check(at(1)), [], "it has gone");
}

#[test]
fn a_revoked_certificate_is_told_once_and_ends_what_else_is_told() {
    let (mut story, anna) = watching();
    let (early, late) = (at(1), (anna.not_after - days(6)).fixed_offset());
    assert!(story.check(early, &anna, Ok(Standing::Revoked(because(Reason::KeyCompromise)))));
    assert_eq!(story.announce(early, true), [(anna.fingerprint, Threshold::Revoked)]);
    assert!(!story.check(at(30), &anna, Ok(Standing::Revoked(because(Reason::KeyCompromise)))), "no news");
    for _ in 0..2 {
        assert_eq!(story.world.due(late), [], "neither again nor for its dates");
        let item = story.world.item(story.id(&anna), late).expect("an item");
        assert_eq!((item.state, item.level), ("revoked", Level::Critical));
        let next = item.next_step.expect("a step");
        assert_eq!((next.who, next.what, next.action), (Who::You, "ask-authority", None));
        let problem = item.problem.expect("a problem");
        assert_eq!(problem, Problem::Revoked { since: "2027-01-14T12:00:00Z".into(), reason: "key-compromise".into() });
        story.restart();
    }
    // What says otherwise later is not believed: only a suspension ends.
    assert!(!story.check(at(60), &anna, Ok(Standing::Good)));
    assert!(!story.check(at(90), &anna, Err(Why::Unreachable)));
    assert_eq!(story.state(&anna, late), "revoked");
}

#[test]
fn what_is_not_proved_changes_nothing() {
    let (mut story, anna) = watching();
    for why in Why::ALL {
        assert!(!story.check(at(1), &anna, Err(why)));
        assert_eq!(story.state(&anna, at(1)), "valid");
        assert_eq!(story.world.due(at(1)), []);
    }
}

#[test]
fn a_suspension_that_is_taken_back_leaves_the_warnings_as_they_were() {
    let (mut story, anna) = watching();
    let late = (anna.not_after - days(6)).fixed_offset();
    assert!(story.check(at(1), &anna, Ok(Standing::Revoked(because(Reason::Hold)))));
    assert_eq!(story.announce(at(1), true), [(anna.fingerprint, Threshold::Revoked)]);
    assert!(story.check(at(30), &anna, Ok(Standing::Good)));
    assert_eq!(story.state(&anna, at(30)), "valid");
    assert_eq!(story.announce(late, true), [(anna.fingerprint, Threshold::OneWeek)]);
    assert!(story.check(late, &anna, Ok(Standing::Revoked(because(Reason::Hold)))));
    assert_eq!(story.announce(late, true), [(anna.fingerprint, Threshold::Revoked)], "a second time is news again");
}

#[test]
fn neither_a_snooze_nor_a_renewal_keeps_it_from_the_person() {
    let (mut story, anna) = watching();
    let late = (anna.not_after - days(6)).fixed_offset();
    story.announce(late, true);
    let until = late.to_utc() + days(5);
    story.write(late.to_utc(), Record::Snoozed { certificate: anna.fingerprint, name: "Anna".into(), until });
    story.check(late, &anna, Ok(Standing::Revoked(because(Reason::Superseded))));
    assert_eq!(story.announce(late, true), [(anna.fingerprint, Threshold::Revoked)]);
    let (mut story, anna) = watching();
    story.start(1, &anna, "p12:/m/a.p12");
    story.check(at(1), &anna, Ok(Standing::Revoked(because(Reason::Superseded))));
    assert_eq!(story.announce(at(1), true), [(anna.fingerprint, Threshold::Revoked)]);
    assert_eq!(story.state(&anna, at(1)), "renewing");
}

#[test]
fn a_revoked_key_asks_for_no_new_certificate() {
    let text = include_str!("../../../../../packaging/programmes/signed-request.toml").replace("Example Authority", "CA");
    let elsewhere = Programme::parse("signed-request.toml", &text).expect("a programme");
    let mut story = Story::of(World::new(vec![elsewhere]));
    story.watch("p12:/m/a.p12");
    story.see("p12:/m/a.p12", readable(&[(&anna(), true)]));
    let id = story.id(&anna());
    assert!(story.world.start(id, None, None, at(1)).is_ok());
    story.check(at(1), &anna(), Ok(Standing::Revoked(because(Reason::Superseded))));
    let refused = story.world.start(id, None, None, at(1)).expect_err("no renewal");
    assert!(matches!(refused, Problem::Revoked { .. }), "{refused:?}");
}

#[test]
fn an_authority_that_ends_first_is_warned_of_by_the_schedule() {
    let (mut story, anna) = watching();
    let end = anna.not_after - days(100);
    let ends = Some(Box::new((end, "The CA".to_owned())));
    drop(story.world.note_check(anna.fingerprint, Checked { authority_ends: ends, ..found(at(1), Ok(Standing::Good)) }));
    let before = |left: i64| (end - days(left)).fixed_offset();
    let item = |story: &Story, now| story.world.item(story.id(&anna), now).expect("an item");
    assert_eq!(item(&story, before(30)).problem, None, "in good time");
    for (left, threshold) in [(20, Threshold::ThreeWeeks), (6, Threshold::OneWeek), (1, Threshold::OneDay)] {
        assert_eq!(story.announce(before(left), true), [(anna.fingerprint, threshold)]);
    }
    let shown = item(&story, before(1));
    assert_eq!((shown.state, shown.deadline), ("expiring", Some(end)));
    let ends = end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    assert_eq!(shown.problem, Some(Problem::AuthorityEnds { authority: "The CA".into(), ends }));
    let crate::item::Kind::Identity { not_after, .. } = shown.kind else { panic!("an identity") };
    assert_eq!(not_after, anna.not_after, "its own end is shown as it is");
    assert_eq!(story.announce(before(-1), true), [(anna.fingerprint, Threshold::Expired)]);
    assert_eq!(item(&story, before(-1)).state, "authority-ended");
    // One that outlives the certificate is none of its business.
    let ends = Some(Box::new((anna.not_after + days(1), "The CA".to_owned())));
    drop(story.world.note_check(anna.fingerprint, Checked { authority_ends: ends, ..found(at(1), Ok(Standing::Good)) }));
    assert_eq!(item(&story, before(-1)).state, "valid");
}

#[test]
fn of_certificates_that_belong_together_the_revoked_one_is_shown() {
    let mut story = Story::new();
    // Two of one holder and role, neither later than the other.
    let (first, second) = (issued("Anna", 1, "CA"), issued("Anna", 2, "CA"));
    story.see("p12:/m/1.p12", readable(&[(&first, true)]));
    story.see("p12:/m/2.p12", readable(&[(&second, true)]));
    assert_eq!(story.current(&first).len(), 2);
    for revoked in [&first, &second] {
        let mut story = Story::of(World::new(Vec::new()));
        story.see("p12:/m/1.p12", readable(&[(&first, true)]));
        story.see("p12:/m/2.p12", readable(&[(&second, true)]));
        story.check(at(1), revoked, Ok(Standing::Revoked(because(Reason::Superseded))));
        assert_eq!(story.state(revoked, at(1)), "revoked");
        assert_eq!(story.announce(at(1), true), [(revoked.fingerprint, Threshold::Revoked)]);
    }
}
