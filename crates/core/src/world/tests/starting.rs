//! Renewals that start by themselves, and that put the new file where the old one was.

use super::*;
use crate::job::Replaced;
use crate::programme::{BUILT_IN, Programme};

fn by_itself() -> World {
    let (file, text) = BUILT_IN.iter().find(|(file, _)| *file == "self-signed.toml").expect("it is built in");
    let text = text.replacen("\"ask\"", "\"auto\"", 1);
    let text = format!("install = \"replace\"\n{text}");
    World::new(vec![Programme::parse(file, &text).expect("a programme")])
}

#[test]
fn a_renewal_starts_by_itself_once_when_the_first_warning_would_be_due() {
    let anna = ending(own("Anna", 1), noon() + days(22));
    let mut story = Story::of(by_itself());
    story.watch("file:/m");
    story.see("file:/m/1.pem", readable(&[(&anna, true)]));
    assert_eq!(story.world.starting(noon().fixed_offset()), []);
    let later = (noon() + days(1)).fixed_offset();
    let starting = story.world.starting(later);
    assert_eq!(starting.len(), 1);
    let start = &starting[0];
    assert!(start.auto && start.uid.is_none() && start.install == InstallRule::Replace, "{start:?}");
    assert_eq!(start.old[0].place, place("file:/m/1.pem"));
    story.job(1, JobEvent::Started(Box::new(start.clone())));
    assert_eq!(story.world.starting(later), [], "it has started");
    assert_eq!(story.world.due(later), [], "and stands for the warning");
    assert!(story.world.is_replacing(&place("file:/m/1.pem")) && !story.world.is_replacing(&place("file:/m/2.pem")));
    story.job(1, JobEvent::Cancelled {});
    assert_eq!(story.world.starting(later), [], "what was cancelled is a person's");
    assert_eq!(story.world.due(later).len(), 1, "who is warned");
    assert!(!story.world.is_replacing(&place("file:/m/1.pem")));
}

#[test]
fn what_needs_somebody_does_not_start_by_itself() {
    let anna = ending(own("Anna", 1), noon() + days(10));
    let now = noon().fixed_offset();
    for (at, key) in [("p12:/m/1.p12", true), ("file:/m/1.pem", false)] {
        let mut story = Story::of(by_itself());
        story.watch(at);
        story.see(at, readable(&[(&anna, key)]));
        assert_eq!(story.world.starting(now), [], "{at}");
        assert_eq!(story.world.due(now).len(), 1);
    }
    let mut story = Story::new();
    story.watch("file:/m/1.pem");
    story.see("file:/m/1.pem", readable(&[(&anna, true)]));
    assert_eq!(story.world.starting(now), [], "its programme asks");
}

#[test]
fn where_a_new_file_took_its_place_the_old_key_is_in_the_copy() {
    let anna = ending(own("Anna", 1), noon() + days(10));
    let next = own("Anna", 2);
    let (at, copy) = ("file:/m/1.pem", "file:/m/1-2027-01-15.pem");
    let mut story = Story::of(by_itself());
    story.watch(at);
    story.see(at, readable(&[(&anna, true)]));
    let start = story.world.starting(noon().fixed_offset()).remove(0);
    story.job(1, JobEvent::Started(Box::new(start)));
    for step in [Step::Preflight, Step::Consent, Step::GenerateKeys, Step::Request, Step::Verify] {
        story.step(1, step, at);
    }
    let replaces = Some(Replaced { copy: place(copy), sha256: Fingerprint::of(b"old") });
    let file = InstallFile { staged: "new".into(), target: place(at), mode: 0o600, sha256: Fingerprint::of(b"new"), replaces };
    story.job(1, JobEvent::Intended { intent: Intent::Install { place: place(at), files: vec![file] } });
    story.job(1, JobEvent::Done { outcome: Outcome::Install {} });
    story.step(1, Step::RetireOld, at);
    story.see(at, readable(&[(&next, true)]));
    for _ in 0..2 {
        let retired: Vec<_> = story.world.retired().map(|(_, retired)| retired.place.clone()).collect();
        assert_eq!(retired, [place(copy)]);
        assert!(story.world.is_watched(&place(at)) && !story.world.is_watched(&place(copy)));
        assert_eq!(story.current(&next), [next.fingerprint]);
        story.restart();
    }
}
