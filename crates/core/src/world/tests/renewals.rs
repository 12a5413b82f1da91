//! Jobs as the world holds them: what a renewal changes, and what a broken one does not.

use super::*;

const STEPS_BUT_LAST: usize = Step::ALL.len() - 1;

fn renewed(story: &mut Story, job: u64, new: &str) {
    for step in Step::ALL {
        story.step(job, step, new);
    }
}

#[test]
fn a_finished_renewal_moves_the_watch_and_retires_the_old() {
    let anna = ending(own("Anna", 1), noon() + days(10));
    let next = own("Anna", 2);
    let mut story = Story::new();
    story.watch("p12:/m/1.p12");
    story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
    story.start(1, &anna, "p12:/m/1.p12");
    for step in &Step::ALL[..STEPS_BUT_LAST] {
        story.step(1, *step, "p12:/m/2.p12");
        assert!(story.world.is_watched(&place("p12:/m/1.p12")) && story.world.retired().next().is_none());
        assert_eq!(story.current(&anna), [anna.fingerprint]);
    }
    story.step(1, Step::RetireOld, "p12:/m/2.p12");
    assert_eq!(story.world.watches().collect::<Vec<_>>(), [&place("p12:/m/2.p12")]);
    let retired = Retired { name: "Anna".into(), place: place("p12:/m/1.p12"), not_after: anna.not_after };
    assert_eq!(story.world.retired().collect::<Vec<_>>(), [(&anna.fingerprint, &retired)]);
    story.see("p12:/m/2.p12", readable(&[(&next, true)]));

    for _ in 0..2 {
        assert_eq!(story.current(&anna), [next.fingerprint]);
        let now = noon().fixed_offset();
        assert_eq!(story.world.due(now), []);
        assert_eq!(story.world.listing(false, now), [story.id(&next)]);
        let all = story.world.listing(true, now);
        let states: BTreeSet<_> = all.iter().map(|id| story.world.item(*id, now).expect("listed").state).collect();
        assert_eq!(states, BTreeSet::from(["valid", "done", "retired"]));
        story.restart();
    }
}

#[test]
fn a_renewal_within_a_watched_directory_watches_the_directory() {
    let anna = own("Anna", 1);
    let mut story = Story::new();
    story.watch("file:/m");
    story.see("file:/m/1.pem", readable(&[(&anna, true)]));
    story.start(1, &anna, "file:/m/1.pem");
    renewed(&mut story, 1, "file:/m/2.pem");
    assert_eq!(story.world.watches().collect::<Vec<_>>(), [&place("file:/m")]);
    // The old file is still seen there; nobody is warned about it, whatever comes.
    assert_eq!(story.current(&anna), []);
    assert_eq!(story.world.due((anna.not_after + days(1)).fixed_offset()), []);
    assert_eq!(story.world.places_of(&anna.fingerprint), [place("file:/m/1.pem")]);

    story.start(2, &own("Anna", 2), "file:/m/2.pem");
    renewed(&mut story, 2, "file:/elsewhere/3.pem");
    assert_eq!(story.world.watches().collect::<Vec<_>>(), [&place("file:/elsewhere/3.pem"), &place("file:/m")]);
}

#[test]
fn a_running_renewal_takes_the_place_of_warnings() {
    let anna = ending(own("Anna", 1), noon() + days(2));
    let now = noon().fixed_offset();
    let mut story = Story::new();
    story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
    assert_eq!(story.world.due(now).len(), 1);
    story.start(1, &anna, "p12:/m/1.p12");
    assert_eq!((story.world.due(now), story.world.returning(now)), (vec![], vec![]));
    assert_eq!(story.state(&anna, now), "renewing");
    assert_eq!(story.world.renewal_of(story.id(&anna)).map(|(job, _)| job), Some(1));
    assert_eq!(story.world.job_by_item(story.id(&anna)).map(|(job, _)| job), Some(1));
    assert_eq!(story.world.job_by_item(story.world.renewal_id(1)).map(|(job, _)| job), Some(1));

    // Waiting, it is still a renewal; its next step is the person's.
    story.job(1, JobEvent::Failed { step: Step::Preflight, problem: Problem::NoAgent {} });
    assert_eq!(story.world.due(now), []);
    let item = story.world.item(story.id(&anna), now).expect("an item");
    assert_eq!(item.next_step.and_then(|next| next.action), Some("resume"));
    assert_eq!(item.problem, Some(Problem::NoAgent {}));

    story.job(1, JobEvent::Cancelled {});
    assert_eq!(story.world.due(now).len(), 1, "nobody renews it now");
    assert_eq!((story.state(&anna, now), story.world.next_job()), ("expiring", 2));
}

#[test]
fn a_renewal_ends_when_somebody_else_was_faster() {
    let anna = ending(own("Anna", 1), noon() + days(2));
    let later = own("Anna", 2);
    let now = noon().fixed_offset();
    let mut story = Story::new();
    story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
    assert_eq!(story.announce(now, true).len(), 1);
    story.start(1, &anna, "p12:/m/1.p12");
    for step in [Step::Preflight, Step::Consent, Step::GenerateKeys, Step::Request] {
        assert_eq!(story.world.overtaken(), []);
        story.step(1, step, "p12:/m/own.p12");
    }
    // Without its key, or older, it is no successor.
    story.see("file:/m/2.crt", readable(&[(&later, false)]));
    story.see("p12:/m/0.p12", readable(&[(&ending(own("Anna", 0), noon() + days(1)), true)]));
    assert_eq!(story.world.overtaken(), []);
    story.see("p12:/m/2.p12", readable(&[(&later, true)]));
    assert_eq!(story.world.overtaken(), [(1, later.fingerprint)]);
    story.job(1, JobEvent::Overtaken { by: later.fingerprint });
    for _ in 0..2 {
        let job = story.world.job(1).expect("it began");
        assert_eq!((job.state(), job.is_ended(), job.finished.is_some()), ("superseded", true, true));
        assert_eq!(story.world.overtaken(), []);
        assert_eq!((story.world.due(now), story.world.returning(now)), (vec![], vec![]), "it warns no more");
        assert_eq!((story.current(&anna), story.state(&anna, now)), (vec![later.fingerprint], "valid"));
        story.restart();
    }
}

#[test]
fn a_renewal_whose_own_is_on_its_way_goes_on() {
    let anna = ending(own("Anna", 1), noon() + days(2));
    let mut story = Story::new();
    story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
    story.start(1, &anna, "p12:/m/1.p12");
    for step in Step::ALL.into_iter().filter(|step| *step < Step::Install) {
        story.step(1, step, "p12:/m/own.p12");
    }
    story.see("p12:/m/2.p12", readable(&[(&own("Anna", 2), true)]));
    assert_eq!(story.world.overtaken().len(), 1);
    story.step(1, Step::Install, "p12:/m/own.p12");
    assert_eq!(story.world.overtaken(), [], "both are new, and nothing is left half done");
}

#[test]
fn what_is_adopted_is_later_and_of_the_same_holder() {
    let (anna, boris) = (ending(own("Anna", 1), noon() + days(2)), own("Boris", 1));
    let later = own("Anna", 2);
    let mut story = Story::new();
    story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
    for (at, found) in [("p12:/m/b.p12", (&boris, true)), ("file:/m/2.crt", (&later, false)), ("p12:/m/0.p12", (&anna, true))] {
        story.see(at, readable(&[found]));
        assert!(story.world.replaced_by(story.id(&anna), &place(at)).is_empty(), "{at}");
    }
    story.see("p12:/m/2.p12", readable(&[(&boris, true), (&later, true)]));
    let replaced = story.world.replaced_by(story.id(&anna), &place("p12:/m/2.p12"));
    assert_eq!(replaced.iter().map(|old| old.certificate.fingerprint).collect::<Vec<_>>(), [anna.fingerprint]);
}

#[test]
fn an_illegal_record_puts_its_job_alone_into_quarantine() {
    let (anna, boris) = (ending(own("Anna", 1), noon() + days(2)), own("Boris", 1));
    let now = noon().fixed_offset();
    let illegal = [
        JobEvent::Resumed {},
        JobEvent::Done { outcome: Outcome::RetireOld {} },
        JobEvent::Intended { intent: Intent::RetireOld { place: place("p12:/m/a2.p12") } },
        JobEvent::Failed { step: Step::Install, problem: Problem::NoAgent {} },
    ];
    for event in illegal {
        let mut story = Story::new();
        story.watch("p12:/m/a.p12");
        story.see("p12:/m/a.p12", readable(&[(&anna, true)]));
        story.see("p12:/m/b.p12", readable(&[(&boris, true)]));
        story.start(1, &anna, "p12:/m/a.p12");
        story.start(2, &boris, "p12:/m/b.p12");
        story.job(1, event.clone());
        for _ in 0..2 {
            let quarantined = story.world.job(1).expect("it began");
            assert!(matches!(&quarantined.phase, Phase::Quarantined(why) if why.contains("while")), "{event:?}");
            assert_eq!(quarantined.state(), "quarantined");
            assert!(quarantined.is_ended() && quarantined.finished.is_some());
            assert_eq!(story.world.job(2).expect("it began").state(), "running");
            assert_eq!(story.current(&anna), [anna.fingerprint], "{event:?}");
            assert!(story.world.is_watched(&place("p12:/m/a.p12")));
            assert_eq!(story.world.due(now).len(), 1, "it is warned about again");
            story.restart();
        }
        // What comes later says nothing about it any more, and the other one goes on to its end.
        let before = story.world.job(1).cloned();
        story.job(1, JobEvent::Cancelled {});
        assert_eq!(story.world.job(1).cloned(), before);
        renewed(&mut story, 2, "p12:/m/b2.p12");
        assert_eq!(story.world.job(2).expect("it began").state(), "done");
    }
}

#[test]
fn a_second_beginning_is_illegal_and_an_unknown_job_is_nobodys() {
    let anna = own("Anna", 1);
    let mut story = Story::new();
    story.start(3, &anna, "p12:/m/a.p12");
    assert_eq!(story.world.next_job(), 4);
    story.job(7, JobEvent::Resumed {});
    assert_eq!((story.world.job(7), story.world.jobs().count()), (None, 1));
    story.start(3, &anna, "p12:/m/a.p12");
    assert_eq!(story.world.job(3).expect("it began").state(), "quarantined");
}
