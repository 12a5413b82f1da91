//! The corpus: that it is what its makers make, and that each mail is judged as it must be. The files are what is judged, so that one
//! may be added by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use obnova_tests::letter::directory;
use serde_json::{Value, json};

use super::{Case, SERIAL, cases, certificate, letter, zone};

fn path(number: u32, ending: &str) -> PathBuf {
    directory().join(format!("{number:03}.{ending}"))
}

fn described(case: &Case) -> String {
    let expected = &case.expected;
    let value = json!({
        "about": case.about,
        "arrived": expected.arrived.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "holder": expected.holder,
        "kind": expected.kind.map(obnova_core::mail::Kind::as_str),
        "standing": expected.standing,
        "why": expected.why,
        "link": expected.link,
    });
    format!("{value:#}\n")
}

#[test]
fn the_corpus_is_what_its_makers_make() {
    let zone: BTreeMap<String, String> = zone().into_iter().collect();
    let mut files = vec![(directory().join("zone.json"), format!("{:#}\n", json!(zone)).into_bytes())];
    let mut numbers = Vec::new();
    for case in cases() {
        assert!(!numbers.contains(&case.number), "two mails are number {}", case.number);
        numbers.push(case.number);
        files.push((path(case.number, "eml"), case.mail.clone()));
        files.push((path(case.number, "json"), described(&case).into_bytes()));
    }
    assert!(numbers.len() >= 100, "{} mails", numbers.len());
    for (path, made) in files {
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, made).expect("written");
        } else {
            let kept = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; UPDATE=1 writes it", path.display()));
            assert!(kept == made, "{} is not what is made; UPDATE=1 writes it anew", path.display());
        }
    }
}

#[tokio::test]
async fn each_mail_of_the_corpus_is_worth_what_it_must_be() {
    let mut judged = 0;
    let mut wrong = Vec::new();
    let mut numbers: Vec<PathBuf> =
        fs::read_dir(directory()).expect("the corpus").map(|entry| entry.expect("an entry").path()).collect();
    numbers.sort();
    for mail in numbers.iter().filter(|path| path.extension().is_some_and(|ending| ending == "eml")) {
        let description = fs::read_to_string(mail.with_extension("json")).expect("what must come of it");
        let expected: Value = serde_json::from_str(&description).expect("JSON");
        let text = |name: &str| expected[name].as_str().map(str::to_owned);
        let arrived: DateTime<Utc> = text("arrived").expect("a time").parse().expect("a time");
        let certificate = certificate(&text("holder").expect("a holder"));
        assert_eq!(certificate.serial(), SERIAL);
        let letter = letter(&fs::read(mail).expect("a mail"), arrived).await;
        let found = letter.as_ref().map(|letter| {
            let verdict = letter.for_certificate(&certificate);
            assert!(verdict.link().is_none() || verdict.standing.as_str() == "trusted", "a link of what is not trusted");
            assert!(letter.content.link.is_none() || letter.standing.as_str() == "trusted", "kept of what is not trusted");
            let why = verdict.standing.reasons().iter().map(|reason| reason.why.as_str()).collect::<Vec<_>>();
            (verdict.kind.as_str().to_owned(), verdict.standing.as_str().to_owned(), why, verdict.link().map(str::to_owned))
        });
        let fits = match (&found, text("kind")) {
            (None, None) => true,
            (Some((kind, standing, why, link)), Some(expected_kind)) => {
                *kind == expected_kind
                    && Some(standing) == text("standing").as_ref()
                    && *link == text("link")
                    && text("why").is_none_or(|expected| why.contains(&expected.as_str()))
                    && (text("why").is_some() || why.is_empty())
            }
            _ => false,
        };
        if !fits {
            wrong.push(format!("{}: {found:?}, but {description}", mail.display()));
        }
        judged += 1;
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged >= 100, "{judged} mails");
}
