//! What may never happen, over every built-in programme and at every point of its run.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use obnova_core::certificate::{KeyAlgorithm, Texts};
use obnova_core::job::{Bytes, Home, InstallFile, Intent, Made, NewKey, Next, Old, Outcome, Replaced, Start};
use obnova_core::mail::{Content, Kind, Letter, Reason, Standing, Why};
use obnova_core::programme::{self, BUILT_IN, InstallRule};
use obnova_core::record::Word;
use obnova_core::revocation::Revoked;
use obnova_core::world::{Condition, Found, Sight};
use obnova_core::{
    Certificate, Entry, Fingerprint, ItemId, Job, JobEvent, Mailbox, Place, Plan, Problem, Programme, Record, Step, Threshold,
    World,
};
use proptest::prelude::*;

const OLD_PLACE: &str = "p12:/m/anna.p12";
const NEW_PLACE: &str = "p12:/m/anna-2.p12";

fn programmes() -> Vec<Programme> {
    let mut programmes = programme::built_in().expect("the built-in programmes are good");
    for programme in programmes.iter_mut().filter(|programme| programme.matching.iter().any(|rule| rule.visiting_card)) {
        programme.add("anna.toml", "anna", "[visiting-card]\nname = \"Anna\"\n").expect("a visiting card");
    }
    assert!(!programmes.is_empty());
    programmes
}

fn place(text: &str) -> Place {
    Place::parse(text).expect("a place")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

/// A certificate that the programme renews, which ends in twenty days.
fn old_certificate(programme: &Programme) -> Certificate {
    let subject = "CN=Anna";
    let issuer = if programme.matching[0].self_issued { subject } else { "CN=Authority" };
    let certificate = Certificate {
        fingerprint: Fingerprint::of(b"old"),
        public_key: Fingerprint::of(b"old key"),
        holder: Fingerprint::of(b"Anna"),
        texts: Texts::new(subject, issuer, "Anna", "", &[1]),
        not_before: at(0) - Duration::days(345),
        not_after: at(0) + Duration::days(20),
        key: KeyAlgorithm::Rsa(2048),
        authority: false,
        usage: None,
    };
    assert_eq!(programme.role_of(&certificate), Some(programme.matching[0].role.as_str()));
    certificate
}

fn intent(step: Step, variant: u8) -> Intent {
    match step {
        Step::Preflight => Intent::Preflight {},
        Step::Consent => Intent::Consent {},
        Step::GenerateKeys => {
            Intent::GenerateKeys { algorithm: KeyAlgorithm::Rsa(3072), home: Home::File(format!("key-{variant}")) }
        }
        Step::Request => Intent::Request { request: Bytes(vec![0x30, variant]), file: "certificate".into() },
        Step::Submit => Intent::Submit { sha256: Fingerprint([variant; 32]) },
        Step::AwaitIssue => Intent::AwaitIssue {},
        Step::Fetch => Intent::Fetch {},
        Step::Verify => Intent::Verify { certificate: Fingerprint([variant; 32]) },
        Step::Install => {
            let target = place(&format!("file:/m/anna-2-{variant}.p12"));
            let files =
                vec![InstallFile { staged: "new".into(), target, mode: 0o600, sha256: Fingerprint([1; 32]), replaces: None }];
            Intent::Install { place: place(NEW_PLACE), files }
        }
        Step::Register => Intent::Register {},
        Step::ByHand => Intent::ByHand { instruction: "Select it.".into(), copy: Some("/m/new.crt".into()) },
        Step::RetireOld => Intent::RetireOld { place: place(NEW_PLACE) },
    }
}

fn outcome(step: Step) -> Outcome {
    match step {
        Step::Preflight => {
            let home = Home::File("key".into());
            let key = NewKey { algorithm: KeyAlgorithm::Rsa(3072), place: place(NEW_PLACE), home };
            Outcome::Preflight { keys: vec![key], protected: true, subject: None }
        }
        Step::Consent => Outcome::Consent {},
        Step::GenerateKeys => Outcome::GenerateKeys { public_key: Bytes(vec![0x30, 1]) },
        Step::Request => Outcome::Request { made: Made::Certificate(Bytes(vec![0x30, 2])) },
        Step::Submit => Outcome::Submit { order: "1".into(), issued: Vec::new() },
        Step::AwaitIssue => Outcome::AwaitIssue { issued: Vec::new() },
        Step::Fetch => {
            Outcome::Fetch { certificates: vec![Bytes(vec![0x30, 2])], chain: Vec::new(), found: None, accepted: Vec::new() }
        }
        Step::Verify => Outcome::Verify { accepted: Vec::new() },
        Step::Install => Outcome::Install {},
        Step::Register => Outcome::Register {},
        Step::ByHand => Outcome::ByHand {},
        Step::RetireOld => Outcome::RetireOld {},
    }
}

fn intended(step: Step, variant: u8) -> JobEvent {
    JobEvent::Intended { intent: intent(step, variant) }
}

fn done(step: Step) -> JobEvent {
    JobEvent::Done { outcome: outcome(step) }
}

fn failed(step: Step) -> JobEvent {
    JobEvent::Failed { step, problem: Problem::NoAgent {} }
}

/// One whole run of a programme, as its journal holds it.
struct Run {
    programme: Programme,
    old: Arc<Certificate>,
    identity: ItemId,
    /// What stands before the job.
    before: Vec<Record>,
    events: Vec<JobEvent>,
}

impl Run {
    fn of(programme: &Programme) -> Self {
        let old = Arc::new(old_certificate(programme));
        let before = vec![Record::Born { salt: "salt".into() }, Record::Watched { place: place(OLD_PLACE) }];
        let identity = obnova_core::identity::id_of("salt", Some(programme), &old, None);
        let start = Start {
            auto: false,
            install: InstallRule::Beside,
            identity,
            name: "Anna".into(),
            programme: programme.name.clone(),
            plan: programme.plan.clone(),
            old: vec![Old {
                certificate: old.fingerprint,
                role: programme.matching[0].role.clone(),
                place: place(OLD_PLACE),
                not_after: old.not_after,
            }],
            to: None,
            uid: Some(1000),
        };
        let steps = programme.plan.steps().iter().flat_map(|step| [intended(*step, 0), done(*step)]);
        let events = [JobEvent::Started(Box::new(start))].into_iter().chain(steps).collect();
        Self { programme: programme.clone(), old, identity, before, events }
    }

    /// The world after a start of the daemon whose journal ends with `events`.
    fn world(&self, events: &[JobEvent]) -> World {
        let mut world = World::new(vec![self.programme.clone()]);
        let records = self.before.iter().cloned();
        let records = records.chain(events.iter().map(|what| Record::Job { job: 1, what: what.clone() }));
        for (sequence, record) in (1..).zip(records) {
            let seconds = i64::try_from(sequence).expect("few");
            world.apply(&Entry { sequence, at: at(seconds), record }).expect("legal");
        }
        let found = Found { certificate: Arc::clone(&self.old), key: true };
        world.observe(&place(OLD_PLACE), Some(Sight { condition: Condition::Readable, certificates: vec![found] }));
        world
    }

    /// Each point of the run: the events so far, with the plain one, the failed one and the resumed one told apart.
    fn points(&self) -> Vec<Vec<JobEvent>> {
        let mut points = Vec::new();
        for end in 1..=self.events.len() {
            let plain = self.events[..end].to_vec();
            points.push(plain.clone());
            if let Some(step) = self.programme.plan.steps().get((end - 1) / 2).copied() {
                points.push([&plain[..], &[failed(step)]].concat());
                points.push([&plain[..], &[failed(step), JobEvent::Resumed {}]].concat());
            }
        }
        points
    }

    fn job(&self, events: &[JobEvent]) -> Job {
        self.world(events).job(1).expect("it began").clone()
    }
}

fn steps_done(job: &Job) -> Vec<Step> {
    job.outcomes.iter().map(Outcome::step).collect()
}

fn assert_old_stands(run: &Run, world: &World, when: &str) {
    let current = world.current(run.identity);
    assert_eq!(current.len(), 1, "{when}");
    assert_eq!(current[0].certificate, run.old.as_ref(), "{when}");
    assert!(current[0].key_held, "{when}");
    assert_eq!(world.retired().count(), 0, "{when}");
    assert!(world.is_watched(&place(OLD_PLACE)), "{when}");
}

/// Invariant 1: the old outlives the proof of the new, whatever is tried and wherever the power fails.
#[test]
fn the_old_stands_until_the_new_is_verified_and_installed() {
    for programme in programmes() {
        let run = Run::of(&programme);
        for events in run.points() {
            let world = run.world(&events);
            let job = world.job(1).expect("it began");
            let done_steps = steps_done(job);
            let when = format!("{}, after {:?} ({:?})", programme.name, done_steps, job.phase);
            if done_steps.contains(&Step::RetireOld) {
                assert!(done_steps.contains(&Step::Verify) && done_steps.contains(&Step::Install), "{when}");
                continue;
            }
            assert_old_stands(&run, &world, &when);

            let proven = done_steps.contains(&Step::Verify) && done_steps.contains(&Step::Install);
            for attempt in [intended(Step::RetireOld, 0), done(Step::RetireOld)] {
                let accepted = job.clone().apply(&attempt, at(999)).is_ok();
                assert!(!accepted || proven, "{attempt:?} {when}");
                if !accepted {
                    // Written all the same, it ends the job and leaves the old where it is.
                    let world = run.world(&[&events[..], &[attempt]].concat());
                    assert_eq!(world.job(1).expect("it began").state(), "quarantined", "{when}");
                    assert_old_stands(&run, &world, &when);
                }
            }
        }
    }
}

/// Invariant 2: what may have decrypted is never destroyed, and stays where it can be found.
#[test]
fn the_old_key_is_still_there_at_the_end() {
    for programme in programmes() {
        let run = Run::of(&programme);
        let world = run.world(&run.events);
        assert_eq!(run.job(&run.events).state(), "done");
        let (fingerprint, retired) = world.retired().next().expect("it is retired");
        assert_eq!((*fingerprint, &retired.place), (run.old.fingerprint, &place(OLD_PLACE)));
        assert_eq!(world.places_of(fingerprint), [place(OLD_PLACE)]);
        let found = world.sight(&place(OLD_PLACE)).expect("it is still seen").certificates;
        assert!(found.iter().any(|found| found.key && found.certificate == run.old));
        assert!(!world.is_watched(&place(OLD_PLACE)) && world.is_watched(&place(NEW_PLACE)));
    }
}

/// What an intent does to what was there before it. There is no word here for destroying: whoever adds an intent that
/// destroys something has to add it, and then to refuse it for the old.
enum Effect {
    Nothing,
    CreatesForTheJob,
    Creates(Vec<Place>),
    StopsWatching,
}

fn effect(intent: &Intent) -> Effect {
    match intent {
        Intent::Preflight {}
        | Intent::Consent {}
        | Intent::Submit { sha256: _ }
        | Intent::AwaitIssue {}
        | Intent::Fetch {}
        | Intent::Verify { certificate: _ }
        | Intent::Register {}
        | Intent::ByHand { instruction: _, copy: _ } => Effect::Nothing,
        Intent::GenerateKeys { algorithm: _, home: _ } | Intent::Request { request: _, file: _ } => Effect::CreatesForTheJob,
        Intent::Install { place: _, files } => Effect::Creates(files.iter().map(|file| file.target.clone()).collect()),
        Intent::RetireOld { place: _ } => Effect::StopsWatching,
    }
}

#[test]
fn no_intent_can_touch_the_old_file() {
    for programme in programmes() {
        let run = Run::of(&programme);
        for end in 1..run.events.len() {
            let mut job = run.job(&run.events[..end]);
            let JobEvent::Intended { intent } = &run.events[end] else { continue };
            match effect(intent) {
                Effect::Nothing | Effect::CreatesForTheJob | Effect::StopsWatching => {}
                Effect::Creates(targets) => {
                    let old = place(OLD_PLACE).path();
                    assert!(targets.iter().all(|target| target.path() != old));
                    let mut over = intent.clone();
                    let Intent::Install { files, .. } = &mut over else { panic!("{over:?} puts files somewhere") };
                    files[0].target = place("file:/m/anna.p12");
                    job.apply(&JobEvent::Intended { intent: over.clone() }, at(999)).expect_err("the old stands there");
                    // With a copy, too, unless the programme says so.
                    let Intent::Install { files, .. } = &mut over else { panic!("{over:?} puts files somewhere") };
                    let copy = place("file:/m/anna-1.p12");
                    files[0].replaces = Some(Replaced { copy, sha256: Fingerprint([2; 32]) });
                    job.apply(&JobEvent::Intended { intent: over.clone() }, at(999)).expect_err("it is not to be replaced");
                    job.start.install = InstallRule::Replace;
                    job.apply(&JobEvent::Intended { intent: over }, at(999)).expect("a copy is kept");
                }
            }
        }
    }
}

#[test]
fn which_keys_may_have_decrypted() {
    let programme = &programmes()[0];
    let with = |usage| Certificate { usage, ..old_certificate(programme) };
    assert!(with(None).may_decrypt(), "without a KeyUsage any key may have");
    for bit in 0..9_u16 {
        // keyEncipherment, dataEncipherment, keyAgreement: RFC 5280 section 4.2.1.3.
        let decrypts = [2, 3, 4].contains(&bit);
        assert_eq!(with(Some(1 << bit)).may_decrypt(), decrypts, "bit {bit}");
        assert!(!with(Some(0b1_1110_0011 & !(1 << bit))).may_decrypt(), "all but the three");
        assert!(with(Some(1 << bit | 1 << 2)).may_decrypt(), "bit {bit} and keyEncipherment");
    }
    assert!(!with(Some(0)).may_decrypt());
}

/// Invariant 3: the key is in its file before its public half leaves; and a person has said yes before there is one.
#[test]
fn nothing_is_asked_for_before_the_key_is_in_its_file() {
    for programme in programmes() {
        let run = Run::of(&programme);
        let mut accepted = BTreeSet::new();
        for events in run.points() {
            let job = run.job(&events);
            for (step, needed) in [
                (Step::Request, Step::GenerateKeys),
                (Step::GenerateKeys, Step::Consent),
                (Step::GenerateKeys, Step::Preflight),
                (Step::Install, Step::Verify),
            ] {
                for attempt in [intended(step, 0), done(step)] {
                    if job.clone().apply(&attempt, at(999)).is_ok() {
                        assert!(steps_done(&job).contains(&needed), "{}: {step} without {needed}", programme.name);
                        accepted.insert(step);
                    }
                }
            }
        }
        assert_eq!(accepted.len(), 3, "each of them can happen at all");
    }
}

/// Invariant 4: what is written has no room for a secret. Every key of every record is listed here.
#[test]
fn no_record_has_room_for_a_secret() {
    let groups = [
        "record event step kind",                                           // which variant
        "salt place certificate item name threshold not_after shown until", // of people
        "job what intent outcome problem",                                  // of jobs
        "identity programme plan old role to uid",                          // their beginning
        "algorithm rsa file keys home made order certificates request files staged target mode sha256", // their intents
        "instruction copy",                                                 // what a person does
        "protected public_key",                                             // their outcomes
        "letter digest body message_id standing doubtful why about sender date arrived content sealed serial link word", // of letters
        "mailbox directory address", // of mailboxes
        "revoked since reason",      // of what an authority has revoked
        "path",                      // of the problem below
        "by",                        // of what was renewed elsewhere
    ];
    let allowed: BTreeSet<&str> = groups.iter().flat_map(|group| group.split(' ')).collect();
    let mut met = BTreeSet::new();
    for record in records() {
        keys_of(&serde_json::to_value(&record).expect("JSON"), &mut met);
    }
    let met: BTreeSet<&str> = met.iter().map(String::as_str).collect();
    assert_eq!(met, allowed);
}

fn keys_of(value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            keys.extend(fields.keys().cloned());
            fields.values().for_each(|value| keys_of(value, keys));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys_of(value, keys)),
        _ => {}
    }
}

/// One of each variant.
fn records() -> Vec<Record> {
    let (place, name, certificate) = (place(OLD_PLACE), "Anna".to_owned(), Fingerprint([0; 32]));
    let run = Run::of(&programmes()[0]);
    let mailbox = Mailbox::local("maildir:/home/anna/Maildir").expect("a Maildir").expect("a path");
    let revoked = Revoked { since: at(0), reason: obnova_core::revocation::Reason::Hold };
    let mut records = vec![
        Record::Born { salt: "00".into() },
        announced(certificate, &name),
        Record::Seen { certificate, name: name.clone() },
        Record::Snoozed { certificate, name: name.clone(), until: at(0) },
        Record::Replaced { name: name.clone(), place: place.clone() },
        Record::Letter { letter: Box::new(letter()) },
        Record::MailboxAdded { mailbox: Box::new(mailbox.clone()) },
        Record::MailboxRemoved { address: mailbox.address() },
        Record::LetterTold { certificate, item: ItemId(1), name: name.clone(), word: Word::Invited },
        Record::Revoked { certificate, item: ItemId(1), name: name.clone(), revoked },
        Record::Reinstated { certificate, item: ItemId(1), name: name.clone() },
        Record::Ordered { certificate, name },
        Record::Watched { place: place.clone() },
        Record::Unwatched { place: place.clone() },
        Record::Excluded { place: place.clone() },
        Record::Remembered { place: place.clone() },
        Record::Forgotten { place },
    ];
    let usual = Step::ALL.into_iter().flat_map(|step| [intended(step, 0), done(step)]);
    let problem = Problem::WrongSecret { path: "/m/anna.p12".into() };
    let failed = JobEvent::Failed { step: Step::Verify, problem };
    let brought = JobEvent::Brought { certificate: Bytes(vec![0x30]) };
    let ended = [brought, JobEvent::Cancelled {}, JobEvent::Overtaken { by: certificate }];
    let others = [run.events[0].clone(), failed, JobEvent::Resumed {}].into_iter().chain(ended);
    records.extend(usual.chain(others).map(|what| Record::Job { job: 1, what }));

    let kinds: BTreeSet<usize> = records.iter().map(kind_of).collect();
    assert_eq!(kinds, (0..25).collect(), "no variant is missing");
    records
}

fn announced(certificate: Fingerprint, name: &str) -> Record {
    let (item, name, not_after) = (ItemId(1), name.to_owned(), at(0));
    Record::Announced { certificate, item, name, threshold: Threshold::OneWeek, not_after, shown: true }
}

fn letter() -> Letter {
    Letter {
        digest: Fingerprint([1; 32]),
        body: Fingerprint([2; 32]),
        message_id: Some("1@authority.example".into()),
        programme: "self-signed".into(),
        kind: Kind::Invitation,
        standing: Standing::Doubtful(vec![Reason { why: Why::HeaderUnsigned, about: "to".into() }]),
        sender: "renewal@authority.example".into(),
        date: Some(at(0)),
        arrived: at(0),
        content: Content { to: vec!["anna@example.org".into()], sealed: false, serial: Some("01".into()), link: None },
        keys: Vec::new(),
    }
}

/// Numbers the variants, so that a new one cannot be forgotten above. That for a mail holds what it says, and nothing to do.
fn kind_of(record: &Record) -> usize {
    match record {
        Record::Born { .. } => 0,
        Record::Watched { .. } => 1,
        Record::Unwatched { .. } => 2,
        Record::Excluded { .. } => 3,
        Record::Remembered { .. } => 4,
        Record::Forgotten { .. } => 5,
        Record::Announced { .. } => 6,
        Record::Seen { .. } => 7,
        Record::Snoozed { .. } => 8,
        Record::Replaced { .. } => 9,
        Record::Job { what, .. } => match what {
            JobEvent::Started(_) => 10,
            JobEvent::Intended { .. } => 11,
            JobEvent::Done { .. } => 12,
            JobEvent::Failed { .. } => 13,
            JobEvent::Resumed {} => 14,
            JobEvent::Cancelled {} => 15,
            JobEvent::Overtaken { .. } => 16,
            JobEvent::Brought { .. } => 22,
        },
        Record::Letter { .. } => 17,
        Record::LetterTold { .. } => 18,
        Record::Ordered { .. } => 19,
        Record::MailboxAdded { .. } => 20,
        Record::MailboxRemoved { .. } => 21,
        Record::Revoked { .. } => 23,
        Record::Reinstated { .. } => 24,
    }
}

proptest! {
    /// Invariant 4: a secret that breaks the format is not used.
    #[test]
    fn a_secret_that_breaks_its_rule_is_refused(length in 0_usize..300, letter in "[0-9a-zé٣ ]") {
        for programme in programmes() {
            let rule = &programme.secret;
            let secret = letter.repeat(length);
            let fits = (rule.min_length as usize..=rule.max_length as usize).contains(&length);
            let digits = letter.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(rule.permits(&secret), fits && (digits || !rule.digits_only || length == 0), "{}", programme.name);
        }
    }
}

#[test]
fn a_pin_is_four_to_eight_digits_where_the_programme_says_so() {
    for (file, text) in BUILT_IN {
        let text: String = text
            .lines()
            .map(|line| match line.split(" = ").next() {
                Some("kind") => "kind = \"pin\"\n".to_owned(),
                Some("min-length") => "min-length = 4\n".to_owned(),
                Some("max-length") => "max-length = 8\n".to_owned(),
                Some("digits-only") => "digits-only = true\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        let rule = Programme::parse(file, &text).expect("a programme").secret;
        for (pin, fine) in [
            ("0000", true),
            ("12345678", true),
            ("", false),
            ("123", false),
            ("123456789", false),
            ("12 4", false),
            ("1234\n", false),
            ("-123", false),
            ("12e4", false),
            ("٣٣٣٣", false),
        ] {
            assert_eq!(rule.permits(pin), fine, "{file}: {pin:?}");
        }
    }
}

/// Invariant 5: a person (or a script in their place) stands behind each beginning; the programme alone starts nothing.
#[test]
fn nothing_but_somebody_starts_a_renewal() {
    for programme in programmes() {
        match programme.start {
            programme::Start::Ask => {}
            programme::Start::Auto => panic!("no programme that comes with Obnova starts by itself"),
        }
        let run = Run::of(&programme);
        let world = run.world(&[]);
        assert_eq!(world.jobs().count(), 0);
        assert_eq!(world.starting(at(60).fixed_offset()), []);
        assert_eq!(world.due(at(60).fixed_offset()).len(), 1, "a warning is due, and does not begin anything");
        assert_eq!(world.jobs().count(), 0);
        let JobEvent::Started(start) = &run.events[0] else { panic!("a run begins with its start") };
        assert_eq!(run.job(&run.events[..1]).start.uid, Some(1000));
        let mut text = serde_json::to_value(start).expect("JSON");
        text.as_object_mut().expect("an object").remove("plan");
        assert!(serde_json::from_value::<Start>(text).is_err(), "the plan is frozen in the beginning");
    }
}

/// Invariant 6: nothing that has an effect is begun twice, in whatever state the job is.
#[test]
fn effects_are_begun_exactly_once() {
    for programme in programmes() {
        let run = Run::of(&programme);
        for events in run.points() {
            let job = run.job(&events);
            let begun =
                |step| events.iter().any(|event| matches!(event, JobEvent::Intended { intent } if intent.step() == step));
            for step in
                [Step::GenerateKeys, Step::Request, Step::Install, Step::RetireOld].into_iter().filter(|step| begun(*step))
            {
                for variant in 0..3 {
                    let refused = job.clone().apply(&intended(step, variant), at(999));
                    refused.expect_err("the same or another, it has been begun");
                }
            }
            if let (Some(JobEvent::Resumed {}), Some(JobEvent::Intended { intent })) =
                (events.last(), events.iter().nth_back(2))
            {
                assert_eq!(job.next(), Next::Probe(intent), "it may have happened");
            }
        }
    }
}

/// A plan with a second key, request or installation is no plan, for no programme.
#[test]
fn no_programme_can_say_an_effect_twice() {
    for programme in programmes() {
        for step in [Step::GenerateKeys, Step::Request, Step::Install, Step::RetireOld] {
            for position in 0..=programme.plan.steps().len() {
                let mut steps = programme.plan.steps().to_vec();
                steps.insert(position, step);
                Plan::new(steps).expect_err("twice");
            }
        }
    }
}
