//! Holds the messages to the vocabulary of the wire, and the sentences to their form.

mod mails;
mod problems;
mod sentences;

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, FixedOffset, Utc};
use fluent_bundle::FluentResource;
use obnova_api::{
    CertificateView, CheckView, ItemView, LogView, NextStepView, ProblemView, QuestionView, RulesView, StatusView,
};

use problems::PROBLEMS;

use crate::{Asked, Language, Text, catalogue};

/// Every event of the log and the arguments it comes with.
const EVENTS: &[(&str, &[&str])] = &[
    ("born", &[]),
    ("watched", &["place"]),
    ("unwatched", &["place"]),
    ("excluded", &["place"]),
    ("remembered", &["place"]),
    ("forgotten", &["place"]),
    ("announced", &["name", "threshold", "not_after", "days"]),
    ("revoked", &["name", "since"]),
    ("reinstated", &["name"]),
    ("seen", &["name"]),
    ("snoozed", &["name", "until"]),
    ("replaced", &["name", "place"]),
    ("job-started", &["name", "programme", "job"]),
    ("step-begun", &["job", "step"]),
    ("step-done", &["job", "step"]),
    ("step-done", &["job", "step", "detail"]),
    ("step-failed", &["job", "step", "problem"]),
    ("consented", &["job", "name"]),
    ("job-resumed", &["job"]),
    ("job-brought", &["job"]),
    ("job-cancelled", &["job"]),
    ("job-overtaken", &["job", "name"]),
    ("job-done", &["job", "name", "made"]),
    ("job-quarantined", &["job", "reason"]),
];

/// Families of messages whose last word comes from the wire, and all words of each.
const FAMILIES: &[(&str, &[&str])] = &[
    ("kind", &["identity", "place", "renewal", "card", "mailbox", "found"]),
    ("authority", &["self-signed", "simulated", "signed-request"]),
    (
        "state",
        &[
            "valid",
            "expiring",
            "expired",
            "revoked",
            "authority-ended",
            "receive-only",
            "not-yet-valid",
            "renewing",
            "retired",
            "superseded",
            "changed",
            "unreadable",
            "empty",
            "away",
            "present",
            "busy",
            "connecting",
            "connected",
            "unread",
            "unreachable",
            "refused",
            "untrusted",
            "blocked",
            "swapping",
            "locked",
            "broken",
            "missing",
            "watching",
            "running",
            "waiting",
            "waiting-administrator",
            "waiting-authority",
            "done",
            "cancelled",
            "quarantined",
        ],
    ),
    ("level", &["ok", "notice", "warning", "critical"]),
    (
        "next",
        &[
            "renew",
            "help-tool",
            "by-hand",
            "renew-elsewhere",
            "renew-at-page",
            "watch",
            "unlock",
            "resume",
            "answer",
            "wait",
            "ask-authority",
            "sign-in",
            "repair",
            "unblock",
        ],
    ),
    (
        "action",
        &[
            "renew",
            "adopt",
            "backup",
            "unlock",
            "resume",
            "cancel",
            "snooze",
            "dismiss",
            "seen",
            "unwatch",
            "unblock",
            "sign-in",
            "test",
            "change-pin",
            "ordered",
            "open-letter",
            "remember",
            "forget",
            "done",
        ],
    ),
    (
        "step",
        &[
            "preflight",
            "consent",
            "generate-keys",
            "request",
            "submit",
            "await-issue",
            "fetch",
            "verify",
            "install",
            "register",
            "by-hand",
            "retire-old",
        ],
    ),
    (
        "use",
        &[
            "open-old",
            "sign-in",
            "protect-new",
            "try",
            "look",
            "make-keys",
            "sign-requests",
            "send-mail",
            "store-certificates",
            "change-pin",
            "unblock",
            "keep",
        ],
    ),
    ("question-programme", &["self-signed", "vps-postfach"]),
    ("card-can", &["moves", "retires", "fixed", "token"]),
    ("card-key", &["key", "unknown", "unproven", "free"]),
    (
        "check",
        &[
            "clock",
            "card-service",
            "no-reader",
            "reader",
            "module",
            "card",
            "pin",
            "puk",
            "keys",
            "free",
            "unwatched",
            "foreign",
            "tool",
            "credential",
            "notify",
            "places",
            "mailbox",
            "certificate",
            "program",
            "programme",
            "twins",
            "room",
            "chain",
            "revocation",
        ],
    ),
];

/// Words that a person never reads: they are ours.
const INTERNAL_WORDS: &[&str] =
    &["identity", "identities", "place", "places", "consumer", "consumers", "agent", "agents", "journal", "successor"];

#[test]
fn every_file_parses_and_no_message_stands_twice() {
    let mut seen = BTreeMap::new();
    for (file, source) in catalogue::sources(Language::English).1 {
        let resource = FluentResource::try_new((*source).to_owned());
        assert!(resource.is_ok(), "{file}.ftl: {:?}", resource.err().map(|(_, errors)| errors));
        for key in keys(source) {
            assert!(catalogue::stands_in(&key, file), "{key} of {file}.ftl is looked for in another file");
            assert_eq!(seen.insert(key.clone(), file), None, "{key} stands twice");
        }
    }
}

#[test]
fn every_problem_has_a_sentence_and_a_hint() {
    let text = text();
    for (kind, args) in PROBLEMS.iter().chain(mails::PROBLEMS) {
        let problem = problem(kind, args);
        let advice = text.problem_if_whole(&problem).unwrap_or_else(|| panic!("{kind} {args:?} has no sentence and hint"));
        assert!(advice.sentence.ends_with(['.', '”']), "{kind}: {}", advice.sentence);
        assert!(!advice.hint.is_empty());
        for arg in args.iter().filter(|arg| !matches!(**arg, "job" | "digits" | "state" | "step" | "action")) {
            let whole = format!("{} {}", advice.sentence, advice.hint);
            let dated = matches!(*arg, "since" | "ends") && whole.contains("10 Nov 2026");
            let told = dated || whole.contains(sample(arg)) || (*kind, *arg) == ("wrong-secret", "path") || *arg == "reason";
            assert!(told, "{kind} does not tell {arg}: {whole}");
        }
    }
}

#[test]
fn every_event_of_the_log_has_a_sentence() {
    let text = text();
    for (event, args) in EVENTS.iter().chain(mails::EVENTS) {
        let line = text.log_line(&record(event, args));
        assert!(!line.starts_with(&event.replace('-', " ")), "{event} {args:?}: {line}");
        for arg in args.iter().filter(|arg| matches!(**arg, "name" | "detail" | "made" | "job")) {
            assert!(line.contains(sample(arg)), "{event} does not tell {arg}: {line}");
        }
    }
}

#[test]
fn every_word_of_the_wire_has_its_message_and_every_message_is_used() {
    let code = sources_of(&["crates/text/src", "cli/src", "tray/src", "daemon/src"]);
    let mut families: Vec<String> = PROBLEMS.iter().chain(mails::PROBLEMS).map(|(kind, _)| format!("problem-{kind}")).collect();
    families.extend(EVENTS.iter().chain(mails::EVENTS).map(|(event, _)| format!("log-{event}")));
    let all = FAMILIES.iter().chain(mails::FAMILIES);
    families.extend(all.flat_map(|(family, words)| words.iter().map(move |word| format!("{family}-{word}"))));
    let mut exist = Vec::new();
    for (_, source) in catalogue::sources(Language::English).1 {
        exist.extend(keys(source));
    }
    for key in &families {
        assert!(exist.contains(key), "{key} is sent, and no message says it");
    }
    for key in exist {
        // The help is held to the command line's own definition, over there.
        let used = families.contains(&key) || code.contains(&format!("\"{key}\"")) || key.starts_with("cli-help-");
        assert!(used || DERIVED.contains(&key.as_str()), "{key} is never said");
    }
}

/// Messages whose keys are put together from two parts in `question.rs`.
const DERIVED: &[&str] = &[
    "question-last-try-body",
    "question-last-try-yes",
    "question-send-again-body",
    "question-send-again-yes",
    "question-insert-card-body",
    "question-insert-card-yes",
    "question-secret-of",
    "question-new-secret-of",
    "question-link-body",
    "question-link-yes",
    "question-hand-step-body",
    "question-hand-step-yes",
];

#[test]
fn what_the_programs_say_exists() {
    let code = sources_of(&["cli/src", "tray/src"]);
    let exist: Vec<String> = catalogue::sources(Language::English).1.iter().flat_map(|(_, source)| keys(source)).collect();
    for literal in code.split('"').filter(|literal| literal.starts_with("cli-") || literal.starts_with("tray-")) {
        let whole = literal.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
        let known = exist.iter().any(|known| known == literal);
        assert!(known || !whole || literal.ends_with('-'), "{literal:?} has no message");
    }
}

#[test]
fn no_sentence_uses_our_own_words() {
    for (file, source) in catalogue::sources(Language::English).1 {
        for (number, line) in source.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let said = line.split_once(" = ").map_or(line, |(_, said)| said).to_lowercase();
            let braces = said.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
            for word in braces.flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric())) {
                assert!(!INTERNAL_WORDS.contains(&word), "{file}.ftl, line {}: “{word}”", number + 1);
            }
        }
    }
}

fn text() -> Text {
    Text::for_environment("en_GB.UTF-8").in_zone(FixedOffset::east_opt(3600).expect("an offset"))
}

fn now() -> DateTime<Utc> {
    "2026-10-21T08:00:00Z".parse().expect("an instant")
}

fn anna() -> ItemView {
    ItemView {
        id: "00000000000000a1".into(),
        kind: "identity".into(),
        name: "Anna Novak".into(),
        state: "expiring".into(),
        level: "warning".into(),
        deadline: Some("2026-11-03T11:00:00Z".into()),
        not_after: Some("2026-11-10T11:00:00Z".into()),
        next_step: Some(NextStepView {
            who: "you".into(),
            what: "renew".into(),
            by: Some("2026-11-03T11:00:00Z".into()),
            action: Some("renew".into()),
        }),
        ..Default::default()
    }
}

fn parcel() -> ItemView {
    ItemView {
        kind: "parcel".into(),
        name: "A box of books".into(),
        state: "at-the-post-office".into(),
        level: "warning".into(),
        deadline: Some("2026-11-05T11:00:00Z".into()),
        next_step: Some(NextStepView {
            who: "you".into(),
            what: "collect-it".into(),
            by: Some("2026-11-05T11:00:00Z".into()),
            action: Some("collect-it".into()),
        }),
        ..Default::default()
    }
}

fn problem(kind: &str, names: &[&str]) -> ProblemView {
    ProblemView { kind: kind.into(), args: args(names), who: "you".into(), by: None }
}

fn record(event: &str, names: &[&str]) -> LogView {
    LogView { event: event.into(), args: args(names), ..Default::default() }
}

fn args(names: &[&str]) -> BTreeMap<String, String> {
    names.iter().map(|name| ((*name).to_owned(), sample(name).to_owned())).collect()
}

fn sample(name: &str) -> &'static str {
    match name {
        "path" => "/home/anna/anna.p12",
        "to" => "/home/anna/anna-2026.p12",
        "place" => "/home/anna/mail.p12",
        "name" => "Anna Novak",
        "not_after" | "until" | "since" | "ends" => "2026-11-10T11:00:00Z",
        "step" => "install",
        "state" => "renewing",
        "problem" => "disk-full",
        "programme" => "self-signed",
        "secret" => "password",
        "digits" => "true",
        "reason" => "not-absolute",
        "min" | "days" | "tries_left" => "4",
        "max" => "8",
        "job" => "7",
        "id" => "ann",
        "limit" => "1 MiB",
        "command" => "chmod g+r /x",
        "detail" => "it ends too early",
        "made" => "/home/anna/new.p12",
        _ => "something",
    }
}

/// The identifiers of the messages in a Fluent file.
fn keys(source: &str) -> Vec<String> {
    let begins = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
    source.lines().filter(begins).filter_map(|line| Some(line.split_once(" =")?.0.to_owned())).collect()
}

/// All Rust sources below these directories of the workspace, one after the other.
fn sources_of(directories: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut waiting: Vec<_> = directories.iter().map(|directory| root.join(directory)).collect();
    let mut sources = String::new();
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("text/src/tests.rs") {
                sources.push_str(&std::fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    sources
}
