//! Jobs against a model that knows no phases: it counts what was accepted, and says from the whole history what may follow.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::card::Spot;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

fn digest(of: u8) -> Fingerprint {
    Fingerprint([of; 32])
}

fn place(text: &str) -> Place {
    Place::parse(text).expect("a place")
}

fn start(plan: Plan) -> Start {
    Start {
        auto: false,
        install: InstallRule::Beside,
        identity: ItemId(0xfeed_beef_0000_0001),
        name: "Anna".into(),
        programme: "self-signed".into(),
        plan,
        old: vec![Old { certificate: digest(0x0a), role: "general".into(), place: place("p12:/m/old.p12"), not_after: at(0) }],
        to: None,
        uid: Some(1000),
    }
}

/// An intent for the step; `variant` makes several that differ, where the step leaves room for that.
fn intent(step: Step, variant: u8) -> Intent {
    match step {
        Step::Preflight => Intent::Preflight {},
        Step::Consent => Intent::Consent {},
        Step::GenerateKeys => {
            Intent::GenerateKeys { algorithm: KeyAlgorithm::Rsa(3072), home: Home::File(format!("key-{variant}.pem")) }
        }
        Step::Request => Intent::Request { request: Bytes(vec![0x30, variant]), file: "certificate.der".into() },
        Step::Submit => Intent::Submit { sha256: digest(variant) },
        Step::AwaitIssue => Intent::AwaitIssue {},
        Step::Fetch => Intent::Fetch {},
        Step::Verify => Intent::Verify { certificate: digest(variant) },
        Step::Install => Intent::Install {
            place: place("p12:/m/new.p12"),
            files: vec![InstallFile {
                replaces: None,
                staged: "new.p12".into(),
                target: place(&format!("file:/m/new-{variant}.p12")),
                mode: 0o600,
                sha256: digest(variant),
            }],
        },
        Step::Register => Intent::Register {},
        Step::ByHand => Intent::ByHand { instruction: "Select it.".into(), copy: Some("/m/new.crt".into()) },
        Step::RetireOld => Intent::RetireOld { place: place(&format!("p12:/m/new-{variant}.p12")) },
    }
}

fn new_key(home: &Home) -> NewKey {
    NewKey { algorithm: KeyAlgorithm::P256, place: place("p12:/m/new.p12"), home: home.clone() }
}

fn outcome(step: Step, variant: u8) -> Outcome {
    match step {
        Step::Preflight => Outcome::Preflight {
            keys: vec![new_key(&Home::File("key.pem".into()))],
            protected: variant.is_multiple_of(2),
            subject: None,
        },
        Step::Consent => Outcome::Consent {},
        Step::GenerateKeys => Outcome::GenerateKeys { public_key: Bytes(vec![0x30, variant]) },
        Step::Request => Outcome::Request { made: Made::Message(Bytes(vec![0x30, variant])) },
        Step::Submit => Outcome::Submit { order: format!("order-{variant}"), issued: Vec::new() },
        Step::AwaitIssue => Outcome::AwaitIssue { issued: Vec::new() },
        Step::Fetch => Outcome::Fetch {
            certificates: vec![Bytes(vec![0x31, variant])],
            chain: Vec::new(),
            found: None,
            accepted: Vec::new(),
        },
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

fn done(step: Step, variant: u8) -> JobEvent {
    JobEvent::Done { outcome: outcome(step, variant) }
}

fn failed(step: Step, variant: u8) -> JobEvent {
    let problem =
        if variant.is_multiple_of(2) { Problem::WrongSecret { path: "/m/old.p12".into() } } else { Problem::NoAgent {} };
    JobEvent::Failed { step, problem }
}

/// Everything that was accepted; what follows is said by counting in it.
struct Model {
    steps: Vec<Step>,
    accepted: Vec<JobEvent>,
}

impl Model {
    fn dones(&self) -> usize {
        self.accepted.iter().filter(|event| matches!(event, JobEvent::Done { .. })).count()
    }

    fn open(&self) -> Option<&Intent> {
        let intents: Vec<&Intent> = self
            .accepted
            .iter()
            .filter_map(|event| match event {
                JobEvent::Intended { intent } => Some(intent),
                _ => None,
            })
            .collect();
        // One outcome closes one intent, so that one more intent than outcomes means an open one.
        (intents.len() > self.dones()).then(|| intents[intents.len() - 1])
    }

    fn waits(&self) -> bool {
        let last = self.accepted.iter().rfind(|event| matches!(event, JobEvent::Failed { .. } | JobEvent::Resumed {}));
        matches!(last, Some(JobEvent::Failed { .. }))
    }

    fn ended(&self) -> bool {
        let over = |event: &JobEvent| matches!(event, JobEvent::Cancelled {} | JobEvent::Overtaken { .. });
        self.accepted.iter().any(over) || self.dones() == self.steps.len()
    }

    fn next(&self) -> Next<'_> {
        match (self.ended(), self.waits(), self.open()) {
            (true, _, _) => Next::Ended,
            (_, true, _) => Next::Wait,
            (_, _, Some(intent)) => Next::Probe(intent),
            _ => Next::Begin(self.steps[self.dones()]),
        }
    }

    fn permits(&self, event: &JobEvent) -> bool {
        if self.ended() || matches!(event, JobEvent::Started(_)) {
            return false;
        }
        let due = self.steps[self.dones()];
        match event {
            JobEvent::Cancelled {} => true,
            // Its own is on the way to its place.
            JobEvent::Overtaken { .. } => {
                !self.accepted.iter().any(|event| matches!(event, JobEvent::Intended { intent: Intent::Install { .. } }))
            }
            JobEvent::Resumed {} => self.waits(),
            _ if self.waits() => false,
            JobEvent::Failed { step, .. } => *step == due,
            JobEvent::Intended { intent } => self.open().is_none() && intent.step() == due,
            JobEvent::Done { outcome } => self.open().is_some() && outcome.step() == due,
            // No certificate of these jobs' is one.
            JobEvent::Started(_) | JobEvent::Brought { .. } => false,
        }
    }

    /// The event that brings it forward.
    fn forward(&self, variant: u8) -> JobEvent {
        match self.next() {
            Next::Begin(step) => intended(step, variant),
            Next::Probe(intent) => done(intent.step(), variant),
            Next::Wait | Next::Ended => JobEvent::Resumed {},
        }
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    // What may be repeated is repeated at random places, as far as that is legal.
    proptest::collection::vec((0_usize..3, 0_usize..10), 0..4).prop_map(|repeats| {
        let mut steps = Step::ALL.to_vec();
        for (which, position) in repeats {
            let mut longer = steps.clone();
            longer.insert(position.min(steps.len()), [Step::Preflight, Step::Consent, Step::Verify][which]);
            if Plan::new(longer.clone()).is_ok() {
                steps = longer;
            }
        }
        Plan::new(steps).expect("each change was checked")
    })
}

/// What to try next: mostly what brings the job forward, often anything.
#[derive(Clone, Debug)]
enum Attempt {
    Forward(u8),
    Any(JobEvent),
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let step = (0..Step::ALL.len()).prop_map(|index| Step::ALL[index]);
    let any = prop_oneof![
        4 => (step.clone(), 0_u8..3).prop_map(|(step, variant)| intended(step, variant)),
        4 => (step.clone(), 0_u8..3).prop_map(|(step, variant)| done(step, variant)),
        6 => (step, 0_u8..2).prop_map(|(step, variant)| failed(step, variant)),
        3 => Just(JobEvent::Resumed {}),
        1 => Just(JobEvent::Cancelled {}),
        1 => Just(JobEvent::Brought { certificate: Bytes(vec![0x30]) }),
        1 => Just(JobEvent::Overtaken { by: Fingerprint([1; 32]) }),
        1 => Just(JobEvent::Started(Box::new(start(Plan::new(Step::ALL.to_vec()).expect("a plan"))))),
    ];
    let attempt = prop_oneof![3 => (0_u8..3).prop_map(Attempt::Forward), 1 => any.prop_map(Attempt::Any)];
    proptest::collection::vec(attempt, 0..60)
}

proptest! {
    #[test]
    fn a_job_is_what_its_history_says(plan in plans(), attempts in attempts()) {
        let mut job = Job::new(start(plan.clone()), at(0));
        let mut model = Model { steps: plan.steps().to_vec(), accepted: Vec::new() };
        let mut times = Vec::new();
        for (number, attempt) in attempts.into_iter().enumerate() {
            let event = match attempt {
                Attempt::Forward(variant) => model.forward(variant),
                Attempt::Any(event) => event,
            };
            let now = at(i64::try_from(number).expect("few"));
            let before = job.clone();
            match job.apply(&event, now) {
                Ok(()) => {
                    prop_assert!(model.permits(&event), "{:?} was accepted after {:?}", event, model.accepted);
                    model.accepted.push(event);
                    times.push(now);
                }
                Err(IllegalEvent { event: what, phase }) => {
                    prop_assert!(!model.permits(&event), "{:?} was refused after {:?}", event, model.accepted);
                    prop_assert!(!what.is_empty() && !phase.is_empty());
                    prop_assert_eq!(&job, &before, "a refused event changes nothing");
                }
            }
            prop_assert_eq!(job.next(), model.next());
            prop_assert_eq!(job.is_ended(), model.ended());
            prop_assert_eq!(job.finished.is_some(), model.ended());
            prop_assert_eq!(job.outcomes.len(), model.dones());
            prop_assert_eq!(job.problem().is_some(), model.waits() && !model.ended());
        }

        // A crash at any point: what was accepted, replayed through its text, gives the same job.
        let mut replayed = Job::new(start(plan), at(0));
        for (event, now) in model.accepted.iter().zip(&times) {
            let text = serde_json::to_string(event).expect("JSON");
            let read: JobEvent = serde_json::from_str(&text).expect("its own JSON");
            prop_assert_eq!(&read, event);
            replayed.apply(&read, *now).expect("it was accepted before");
        }
        prop_assert_eq!(&replayed, &job);

        // Exactly once: no history holds a second key, request or installation.
        for step in [Step::GenerateKeys, Step::Request, Step::Submit, Step::Fetch, Step::Install, Step::RetireOld] {
            let count = model.accepted.iter().filter(|event| matches!(event, JobEvent::Intended { intent } if intent.step() == step)).count();
            prop_assert!(count <= 1, "{} was begun {} times", step, count);
        }
    }
}

#[test]
fn an_open_intent_is_asked_about_also_after_a_failure() {
    for end in 0..Step::ALL.len() {
        let mut job = Job::new(start(Plan::new(Step::ALL.to_vec()).expect("a plan")), at(0));
        for step in &Step::ALL[..end] {
            job.apply(&intended(*step, 0), at(1)).expect("legal");
            job.apply(&done(*step, 0), at(1)).expect("legal");
        }
        let step = Step::ALL[end];
        job.apply(&intended(step, 1), at(2)).expect("legal");
        assert_eq!(job.next(), Next::Probe(&intent(step, 1)));
        job.apply(&failed(step, 0), at(3)).expect("legal");
        assert_eq!((job.next(), job.state()), (Next::Wait, "waiting"));
        job.apply(&JobEvent::Resumed {}, at(4)).expect("legal");
        assert_eq!(job.next(), Next::Probe(&intent(step, 1)), "it is not begun again");
        for variant in 0..3 {
            job.apply(&intended(step, variant), at(5)).expect_err("it may have happened");
        }
        assert_eq!(job.next(), Next::Probe(&intent(step, 1)));
        job.apply(&done(step, 0), at(6)).expect("the probe says that it has happened");
    }
}

#[test]
fn a_finished_job_says_what_came_of_it() {
    let mut job = Job::new(start(Plan::new(Step::ALL.to_vec()).expect("a plan")), at(0));
    assert_eq!((job.preflight(), job.public_key(0), job.certificate(0), job.installing), (None, None, None, false));
    assert!(job.made.is_empty());
    for step in Step::ALL {
        job.apply(&intended(step, 7), at(1)).expect("legal");
        assert_eq!(job.installing, step >= Step::Install, "from the intent on, files may be in their place");
        job.apply(&done(step, 7), at(2)).expect("legal");
    }
    assert_eq!(job.preflight(), Some((&[new_key(&Home::File("key.pem".into()))][..], false)));
    assert_eq!((job.public_key(0), job.certificate(0)), (Some(&[0x30, 7][..]), Some(&[0x31, 7][..])));
    assert_eq!((job.messages(), job.order()), (vec![&[0x30, 7][..]], Some("order-7")));
    assert_eq!(job.made, [place("file:/m/new-7.p12")]);
    assert_eq!((&job.phase, job.finished, job.state()), (&Phase::Done, Some(at(2)), "done"));
}

#[test]
fn nothing_is_installed_over_the_old_certificate() {
    let mut job = Job::new(start(Plan::new(Step::ALL.to_vec()).expect("a plan")), at(0));
    for step in &Step::ALL[..8] {
        job.apply(&intended(*step, 0), at(1)).expect("legal");
        job.apply(&done(*step, 0), at(1)).expect("legal");
    }
    let file = |target: &str| InstallFile {
        staged: "a".into(),
        target: place(target),
        mode: 0o600,
        sha256: digest(0),
        replaces: None,
    };
    let before = job.clone();
    for target in ["file:/m/old.p12", "p12:/m//old.p12", "file:/m/./old.p12"] {
        let files = vec![file("file:/m/new.crt"), file(target)];
        let over = JobEvent::Intended { intent: Intent::Install { place: place("p12:/m/new.p12"), files } };
        let error = job.apply(&over, at(2)).expect_err("the old one stands there");
        assert_eq!(error.to_string(), "install over the old certificate while running before install");
        assert_eq!(job, before);
    }
    let beside = Intent::Install { place: place("p12:/m/new.p12"), files: vec![file("file:/m/new.p12")] };
    job.apply(&JobEvent::Intended { intent: beside }, at(2)).expect("beside it is fine");
}

#[test]
fn the_text_of_each_event_is_stable() {
    let hex = |of: u8| format!("{of:02x}").repeat(32);
    let install = json!({"event": "intended", "intent": {"step": "install", "place": "p12:/m/new.p12", "files": [
        {"staged": "new.p12", "target": "file:/m/new-1.p12", "mode": 384, "sha256": hex(1)}]}});
    let started = json!({"event": "started", "identity": 18_369_548_388_820_582_401_u64, "name": "Anna", "programme": "self-signed",
        "plan": ["preflight", "consent", "generate-keys", "request", "submit", "await-issue", "fetch", "verify", "install", "register", "by-hand", "retire-old"],
        "old": [{"certificate": hex(10), "role": "general", "place": "p12:/m/old.p12", "not_after": "2027-01-15T08:00:00Z"}],
        "to": null, "uid": 1000});
    let preflight = json!({"event": "done",
        "outcome": {"step": "preflight", "protected": true, "keys": [
            {"algorithm": "p256", "place": "p12:/m/new.p12", "home": {"file": "key.pem"}}]}});
    let on_card = Intent::GenerateKeys {
        algorithm: KeyAlgorithm::P256,
        home: Home::Card(Reservation {
            spot: Spot("82".into()),
            old: Spot("9a".into()),
            archive: Some(Spot("84".into())),
            label: "Anna".into(),
        }),
    };
    let plan = Plan::new(Step::ALL.to_vec()).expect("a plan");
    let cases = [
        (JobEvent::Started(Box::new(start(plan))), started),
        (intended(Step::Preflight, 1), json!({"event": "intended", "intent": {"step": "preflight"}})),
        (intended(Step::Consent, 1), json!({"event": "intended", "intent": {"step": "consent"}})),
        (
            intended(Step::GenerateKeys, 1),
            json!({"event": "intended", "intent": {"step": "generate-keys", "algorithm": {"rsa": 3072}, "home": {"file": "key-1.pem"}}}),
        ),
        (
            JobEvent::Intended { intent: on_card },
            json!({"event": "intended", "intent": {"step": "generate-keys", "algorithm": "p256", "home": {"card": {
                "spot": "82", "old": "9a", "archive": "84", "label": "Anna"}}}}),
        ),
        (intended(Step::Submit, 1), json!({"event": "intended", "intent": {"step": "submit", "sha256": hex(1)}})),
        (intended(Step::AwaitIssue, 1), json!({"event": "intended", "intent": {"step": "await-issue"}})),
        (intended(Step::Fetch, 1), json!({"event": "intended", "intent": {"step": "fetch"}})),
        (
            intended(Step::Request, 1),
            json!({"event": "intended", "intent": {"step": "request", "request": "3001", "file": "certificate.der"}}),
        ),
        (intended(Step::Verify, 1), json!({"event": "intended", "intent": {"step": "verify", "certificate": hex(1)}})),
        (intended(Step::Install, 1), install),
        (
            intended(Step::RetireOld, 1),
            json!({"event": "intended", "intent": {"step": "retire-old", "place": "p12:/m/new-1.p12"}}),
        ),
        (done(Step::Preflight, 0), preflight),
        (done(Step::Consent, 0), json!({"event": "done", "outcome": {"step": "consent"}})),
        (done(Step::GenerateKeys, 9), json!({"event": "done", "outcome": {"step": "generate-keys", "public_key": "3009"}})),
        (done(Step::Request, 9), json!({"event": "done", "outcome": {"step": "request", "made": {"message": "3009"}}})),
        (done(Step::Submit, 9), json!({"event": "done", "outcome": {"step": "submit", "order": "order-9"}})),
        (done(Step::AwaitIssue, 9), json!({"event": "done", "outcome": {"step": "await-issue"}})),
        (done(Step::Fetch, 9), json!({"event": "done", "outcome": {"step": "fetch", "certificates": ["3109"]}})),
        (done(Step::Verify, 0), json!({"event": "done", "outcome": {"step": "verify"}})),
        (done(Step::Install, 0), json!({"event": "done", "outcome": {"step": "install"}})),
        (done(Step::RetireOld, 0), json!({"event": "done", "outcome": {"step": "retire-old"}})),
        (
            failed(Step::Verify, 0),
            json!({"event": "failed", "step": "verify", "problem": {"kind": "wrong-secret", "path": "/m/old.p12"}}),
        ),
        (JobEvent::Resumed {}, json!({"event": "resumed"})),
        (JobEvent::Cancelled {}, json!({"event": "cancelled"})),
        (JobEvent::Overtaken { by: Fingerprint([1; 32]) }, json!({"event": "overtaken", "by": "01".repeat(32)})),
    ];
    for (event, text) in cases {
        assert_eq!(serde_json::to_value(&event).expect("JSON"), text);
        let read: JobEvent = serde_json::from_value(text).expect("journals written so can be read");
        assert_eq!(read, event);
    }
}

#[test]
fn what_is_no_hex_is_no_bytes() {
    assert_eq!(Bytes::try_from("00ff".to_owned()), Ok(Bytes(vec![0, 255])));
    for bad in ["0", "0g", "é", "+1", "00 0"] {
        assert!(Bytes::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

/// On a card that moves keys, a renewal may be ended until old and new begin to change places.
#[test]
fn a_swap_is_not_given_up() {
    let plan = Plan::new(Step::ALL.to_vec()).expect("a plan");
    let two = |archive: Option<&str>| {
        let mut start = start(plan.clone());
        start.old.push(start.old[0].clone());
        let reservation = Reservation {
            spot: Spot("82".into()),
            old: Spot("9a".into()),
            archive: archive.map(|spot| Spot(spot.into())),
            label: "Anna".into(),
        };
        (Job::new(start, at(0)), new_key(&Home::Card(reservation)))
    };
    for (archive, last) in [(Some("84"), false), (None, true)] {
        let (mut job, key) = two(archive);
        let mut allowed = Vec::new();
        while let Some(step) = job.step() {
            allowed.push((step, job.member(), job.may_cancel()));
            job.apply(&intended(step, 0), at(1)).expect("legal");
            allowed.push((step, job.member(), job.may_cancel()));
            let cancelled = job.clone().apply(&JobEvent::Cancelled {}, at(1)).is_ok();
            assert_eq!(cancelled, job.may_cancel());
            let outcome = match step {
                Step::Preflight => Outcome::Preflight { keys: vec![key.clone(), key.clone()], protected: true, subject: None },
                Step::Fetch => Outcome::Fetch {
                    certificates: vec![Bytes(vec![1]), Bytes(vec![2])],
                    chain: Vec::new(),
                    found: None,
                    accepted: Vec::new(),
                },
                other => outcome(other, 0),
            };
            job.apply(&JobEvent::Done { outcome }, at(1)).expect("legal");
        }
        assert_eq!(job.phase, Phase::Done);
        assert_eq!(allowed.len(), 2 * (7 + 2 * 5), "once for both, or once for each");
        let (before, swap) = allowed.split_at(allowed.len() - 3);
        assert!(before.iter().all(|(.., may)| *may), "{before:?}");
        assert!(swap.iter().all(|(.., may)| *may == last), "{swap:?}");
    }
}

/// Twins both or neither: as many keys and certificates as there are old ones.
#[test]
fn one_of_two_is_none() {
    let mut start = start(Plan::new(Step::ALL.to_vec()).expect("a plan"));
    start.old.push(start.old[0].clone());
    let mut job = Job::new(start.clone(), at(0));
    job.apply(&intended(Step::Preflight, 0), at(1)).expect("legal");
    let error = job.apply(&done(Step::Preflight, 0), at(1)).expect_err("one key for two certificates");
    assert!(error.to_string().contains("other certificates than were asked for"), "{error}");
    start.old.clear();
    assert!(matches!(Job::new(start, at(0)).phase, Phase::Quarantined(_)));
}
