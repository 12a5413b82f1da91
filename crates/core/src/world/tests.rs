//! What the tests of the world share: certificates made by hand, and a journal in memory.

use chrono::Duration;

use super::*;
use crate::Now;
use crate::certificate::{KeyAlgorithm, Texts};
use crate::job::{Bytes, Home, InstallFile, Intent, JobEvent, Made, NewKey, Old, Outcome, Start};
use crate::plan::Plan;
use crate::plan::Step;
use crate::programme::InstallRule;

mod authorities;
mod cards;
mod checks;
mod indexes;
mod letters;
mod renewals;
mod starting;
mod warnings;

/// The first moment of these tests: a Thursday, 12 o'clock UTC.
fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_014_400, 0).expect("a time")
}

fn days(days: i64) -> Duration {
    Duration::days(days)
}

fn place(text: &str) -> Place {
    Place::parse(text).expect("a place")
}

/// The self-made certificate of somebody, with a key of its own per `number`: it ends a year after `noon`.
fn own(name: &str, number: u8) -> Certificate {
    let subject = format!("CN={name}");
    Certificate {
        fingerprint: Fingerprint::of(&[name.as_bytes(), &[number]].concat()),
        public_key: Fingerprint::of(&[b"key of ", name.as_bytes(), &[number]].concat()),
        holder: Fingerprint::of(name.as_bytes()),
        texts: Texts::new(&subject, &subject, name, "", &[number]),
        not_before: noon(),
        not_after: noon() + days(365),
        key: KeyAlgorithm::P256,
        authority: false,
        usage: None,
    }
}

/// The same, issued by somebody else.
fn issued(name: &str, number: u8, issuer: &str) -> Certificate {
    let texts = Texts::new(&format!("CN={name}"), &format!("CN={issuer}"), name, "", &[number]);
    Certificate { texts, ..own(name, number) }
}

fn authority(certificate: Certificate) -> Certificate {
    Certificate { authority: true, ..certificate }
}

fn ending(certificate: Certificate, not_after: DateTime<Utc>) -> Certificate {
    Certificate { not_before: not_after - days(365), not_after, ..certificate }
}

fn readable(found: &[(&Certificate, bool)]) -> Sight {
    let found = found.iter().map(|(certificate, key)| Found { certificate: Arc::new((*certificate).clone()), key: *key });
    Sight { condition: Condition::Readable, certificates: found.collect() }
}

fn unreadable(condition: Condition) -> Sight {
    Sight { condition, certificates: Vec::new() }
}

/// A world with its journal and with what was seen, so that it can be started anew.
struct Story {
    world: World,
    entries: Vec<Entry>,
    seen: Vec<(Place, Option<Sight>)>,
}

impl Story {
    fn new() -> Self {
        let programmes = crate::programme::built_in().expect("the built-in programmes are good");
        Self::of(World::new(programmes))
    }

    fn of(world: World) -> Self {
        let mut story = Self { world, entries: Vec::new(), seen: Vec::new() };
        story.write(noon(), Record::Born { salt: "salt".into() });
        story
    }

    fn write(&mut self, at: DateTime<Utc>, record: Record) {
        let sequence = u64::try_from(self.entries.len()).expect("few") + 1;
        let entry = Entry { sequence, at, record };
        self.world.apply(&entry).expect("legal");
        self.entries.push(entry);
    }

    fn watch(&mut self, watched: &str) {
        self.write(noon(), Record::Watched { place: place(watched) });
    }

    fn see(&mut self, at: &str, sight: Sight) {
        self.world.observe(&place(at), Some(sight.clone()));
        self.seen.push((place(at), Some(sight)));
    }

    /// The daemon starts anew: the journal is replayed, and everything is seen again.
    fn restart(&mut self) {
        let mut world = World::new(std::mem::take(&mut self.world.programmes));
        for entry in &self.entries {
            world.apply(entry).expect("legal");
        }
        for (place, sight) in &self.seen {
            world.observe(place, sight.clone());
        }
        self.world = world;
    }

    fn id(&self, certificate: &Certificate) -> ItemId {
        identity::id_of(self.world.salt(), self.world.programme_of(certificate), certificate, None)
    }

    /// The fingerprints of the current certificates of the identity to which this one belongs.
    fn current(&self, of: &Certificate) -> Vec<Fingerprint> {
        self.world.current(self.id(of)).iter().map(|member| member.certificate.fingerprint).collect()
    }

    fn state(&self, of: &Certificate, now: Now) -> &'static str {
        self.world.item(self.id(of), now).expect("an item").state
    }

    /// Tells what is due now.
    fn announce(&mut self, now: Now, shown: bool) -> Vec<(Fingerprint, Threshold)> {
        let due = self.world.due(now);
        for notice in &due {
            self.write(now.to_utc(), notice.announced(shown));
        }
        due.into_iter().map(|notice| (notice.certificate, notice.threshold)).collect()
    }

    fn job(&mut self, job: u64, what: JobEvent) {
        self.write(noon(), Record::Job { job, what });
    }

    fn start(&mut self, job: u64, old: &Certificate, at: &str) {
        let plan = Plan::new(Step::ALL.to_vec()).expect("the usual order");
        let old_one = Old { certificate: old.fingerprint, role: "general".into(), place: place(at), not_after: old.not_after };
        let start = Start {
            auto: false,
            install: InstallRule::Beside,
            identity: self.id(old),
            name: old.name().to_owned(),
            programme: "self-signed".into(),
            plan,
            old: vec![old_one],
            to: None,
            uid: Some(1000),
        };
        self.job(job, JobEvent::Started(Box::new(start)));
    }

    /// One step of a job that puts the new one at `new`.
    fn step(&mut self, job: u64, step: Step, new: &str) {
        let new = place(new);
        let digest = Fingerprint::of(b"new");
        let (intent, outcome) = match step {
            Step::Preflight => {
                let key = NewKey { algorithm: KeyAlgorithm::P256, place: new, home: Home::File("key".into()) };
                let outcome = Outcome::Preflight { keys: vec![key], protected: true, subject: None };
                (Intent::Preflight {}, outcome)
            }
            Step::Consent => (Intent::Consent {}, Outcome::Consent {}),
            Step::GenerateKeys => (
                Intent::GenerateKeys { algorithm: KeyAlgorithm::P256, home: Home::File("key".into()) },
                Outcome::GenerateKeys { public_key: Bytes(vec![1]) },
            ),
            Step::Request => (
                Intent::Request { request: Bytes(vec![2]), file: "certificate".into() },
                Outcome::Request { made: Made::Message(Bytes(vec![3])) },
            ),
            Step::Submit => (Intent::Submit { sha256: digest }, Outcome::Submit { order: "1".into(), issued: Vec::new() }),
            Step::AwaitIssue => (Intent::AwaitIssue {}, Outcome::AwaitIssue { issued: Vec::new() }),
            Step::Fetch => (
                Intent::Fetch {},
                Outcome::Fetch { certificates: vec![Bytes(vec![3])], chain: Vec::new(), found: None, accepted: Vec::new() },
            ),
            Step::Verify => (Intent::Verify { certificate: digest }, Outcome::Verify { accepted: Vec::new() }),
            Step::Install => {
                let target = Place::new(crate::Scheme::File, &new.path());
                let files = vec![InstallFile { staged: "new".into(), target, mode: 0o600, sha256: digest, replaces: None }];
                (Intent::Install { place: new, files }, Outcome::Install {})
            }
            Step::Register => (Intent::Register {}, Outcome::Register {}),
            Step::ByHand => (Intent::ByHand { instruction: "Select it.".into(), copy: None }, Outcome::ByHand {}),
            Step::RetireOld => (Intent::RetireOld { place: new }, Outcome::RetireOld {}),
        };
        self.job(job, JobEvent::Intended { intent });
        self.job(job, JobEvent::Done { outcome });
    }
}

#[test]
fn the_journal_begins_once() {
    let mut world = World::new(Vec::new());
    let entry = |record| Entry { sequence: 1, at: noon(), record };
    let watched = entry(Record::Watched { place: place("file:/m") });
    assert_eq!(world.apply(&watched), Err(IllegalRecord::NotBorn));
    assert!(!world.is_born() && world.watches().next().is_none());
    let born = entry(Record::Born { salt: "one".into() });
    assert_eq!(world.apply(&born), Ok(()));
    assert_eq!(world.apply(&entry(Record::Born { salt: "two".into() })), Err(IllegalRecord::BornTwice));
    assert_eq!(world.salt(), "one");
    assert_eq!(world.apply(&watched), Ok(()));
    assert!(world.is_watched(&place("file:/m")));
}

#[test]
fn a_place_is_watched_until_somebody_says_otherwise() {
    let mut story = Story::new();
    story.watch("file:/m");
    let (a, b) = (own("Anna", 1), own("Boris", 1));
    story.see("file:/m/a.pem", readable(&[(&a, true)]));
    story.see("file:/m/b.pem", readable(&[(&b, true)]));
    assert_eq!(story.world.unwatched(), []);
    story.write(noon(), Record::Excluded { place: place("file:/m/a.pem") });
    assert!(story.world.is_excluded(&place("file:/m/a.pem")));
    assert_eq!(story.world.unwatched(), [place("file:/m/a.pem")]);
    story.watch("file:/m/a.pem");
    assert!(!story.world.is_excluded(&place("file:/m/a.pem")), "who names it wants it");
    story.write(noon(), Record::Unwatched { place: place("file:/m") });
    assert_eq!(story.world.unwatched(), [place("file:/m/b.pem")]);
}
