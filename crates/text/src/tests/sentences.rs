//! What is said of items, warnings and questions, word for word.

use super::*;

#[test]
fn the_deadline_stands_beside_the_end_where_they_differ() {
    let text = text();
    let item = anna();
    assert_eq!(text.deadline(&item, now()).as_deref(), Some("renew by 3 Nov · ends 10 Nov"));
    let same = ItemView { deadline: item.not_after.clone(), ..item.clone() };
    assert_eq!(text.deadline(&same, now()).as_deref(), Some("ends 10 Nov"));
    let late = ItemView { deadline: Some("2026-10-01T00:00:00Z".into()), ..item.clone() };
    assert_eq!(text.deadline(&late, now()).as_deref(), Some("was to be renewed by 1 Oct · ends 10 Nov"));
    let past = ItemView { not_after: Some("2025-11-10T00:00:00Z".into()), ..item };
    assert_eq!(text.deadline(&past, now()).as_deref(), Some("ended 10 Nov 2025"));
    assert_eq!(text.deadline(&parcel(), now()).as_deref(), Some("by 5 Nov"));
    assert_eq!(text.deadline(&ItemView::default(), now()), None);
}

#[test]
fn a_day_is_the_readers_own() {
    let text = text();
    // Half past eleven in the evening in UTC is the next day in Prague.
    assert_eq!(text.date("2026-11-02T23:30:00Z", now()), "3 Nov");
    assert_eq!(text.date("2027-11-03T00:00:00Z", now()), "3 Nov 2027");
    assert_eq!(text.date("soon", now()), "soon");
    assert_eq!(text.time("2026-11-02T23:30:00Z"), "2026-11-03 00:30");
    for (instant, shown) in [
        ("2026-11-10T08:00:00Z", "in 20 days"),
        ("2026-10-22T00:00:00Z", "tomorrow"),
        ("2026-10-21T20:00:00Z", "today"),
        ("2026-10-20T08:00:00Z", "yesterday"),
        ("2026-10-01T08:00:00Z", "20 days ago"),
    ] {
        assert_eq!(text.remaining(instant, now()), shown);
    }
}

#[test]
fn the_status_line_says_what_is_next() {
    let text = text();
    let status = |first: Option<ItemView>| StatusView { watched: 3, first, ..Default::default() };
    assert_eq!(
        text.status_line(&status(Some(anna())), now()),
        "3 certificates watched · next: renew “Anna Novak” by 3 Nov · ends 10 Nov"
    );
    assert_eq!(text.status_line(&status(None), now()), "3 certificates watched · nothing to do");
    for (scope, elsewhere) in
        [("user", "this computer's own: obnova --system status"), ("system", "each person's own: obnova status")]
    {
        let line = text.service_line(&StatusView { scope: scope.into(), ..status(None) }, now());
        assert_eq!(line, format!("3 certificates watched · nothing to do · {elsewhere}"));
    }
    assert_eq!(text.status_line(&StatusView::default(), now()), "No certificate is watched yet");
    assert_eq!(
        text.status_line(&status(Some(parcel())), now()),
        "3 certificates watched · next: Collect it by 5 Nov: “A box of books”"
    );
}

#[test]
fn a_warning_says_what_when_and_what_a_click_does() {
    let text = text();
    let notice = text.notice("three-weeks", &anna(), now());
    assert_eq!(notice.title, "Certificate of Anna Novak: renew by 3 Nov");
    assert_eq!(notice.body, "Renew by 3 Nov · ends 10 Nov. You are asked before anything is made, and the old one is kept.");
    assert_eq!(notice.action_label.as_deref(), Some("Renew"));
    assert_eq!(notice.later_label, "Later");

    let plain = ItemView { deadline: anna().not_after, ..anna() };
    assert_eq!(text.notice("three-weeks", &plain, now()).title, "Certificate of Anna Novak ends in 20 days");
    let twins = ItemView { certificates: Some(vec![CertificateView::default(); 2]), ..plain.clone() };
    assert_eq!(text.notice("three-weeks", &twins, now()).title, "Certificates of Anna Novak end in 20 days");
    let past = ItemView { not_after: Some("2026-10-20T00:00:00Z".into()), ..plain };
    assert_eq!(text.notice("expired", &past, now()).title, "Certificate of Anna Novak has expired");
}

#[test]
fn what_no_version_knows_yet_is_still_said() {
    let text = text();
    let notice = text.notice("arrived-early", &parcel(), now());
    assert_eq!((notice.title.as_str(), notice.body.as_str()), ("A box of books", "Arrived early. Collect it by 5 Nov."));
    assert_eq!(notice.action_label.as_deref(), Some("Collect it"));
    assert_eq!(text.kind(&parcel()), "parcel");
    assert_eq!(text.state(&parcel()), "at the post office");
    let advice = text.problem(&problem("parcel-lost", &["path"]));
    assert_eq!(advice.sentence, "Something is wrong: parcel lost, path: /home/anna/anna.p12.");
    assert_eq!(text.log_line(&record("parcel-sent", &["name"])), "Anna Novak: parcel sent");
    assert_eq!(text.step_done("wrap-parcel"), "wrap parcel");
}

#[test]
fn a_sentence_that_lacks_an_argument_is_not_said_half() {
    assert_eq!(text().problem(&problem("disk-full", &[])).sentence, "Something is wrong: disk full.");
}

#[test]
fn a_command_to_copy_names_the_thing() {
    let text = text();
    let refused = problem("consent-refused", &[]);
    assert_eq!(text.problem(&refused).hint, "When it suits you: obnova resume NAME --wait");
    assert_eq!(text.problem_of("Anna Novak", &refused).hint, "When it suits you: obnova resume 'Anna Novak' --wait");
}

#[test]
fn what_comes_from_outside_steers_no_terminal() {
    let text = text();
    let evil = ItemView { name: "Anna\u{1b}[2J\u{202e}kavoN".into(), ..anna() };
    let title = text.notice("three-weeks", &evil, now()).title;
    assert!(title.contains("Anna\u{fffd}[2J\u{fffd}kavoN"), "{title}");
    assert!(!text.state(&ItemView { state: "\u{9b}31m".into(), ..anna() }).contains(char::is_control));
}

#[test]
fn consent_tells_before_what_will_happen() {
    let question = QuestionView {
        name: "Anna Novak".into(),
        about: "renewal".into(),
        steps: Some(["preflight", "consent", "generate-keys", "request", "install"].map(Into::into).to_vec()),
        args: Some(args(&["name", "not_after", "to", "programme", "secret"])),
        ..Default::default()
    };
    let asked = text().question(Asked::Consent, &question);
    assert_eq!(asked.title, "Renew Anna Novak?");
    assert_eq!(
        asked.body,
        "The certificate ends on 10 Nov 2026.\n\
         A new key and a new certificate will be made and written to /home/anna/anna-2026.p12.\n\
         The old file stays as it is.\n\
         If the old file has a password, you are asked for it once.\n\
         It is self-made, as the old one is: whoever trusts the old one has to be given the new one."
    );
    assert_eq!((asked.yes.as_str(), asked.no.as_str()), ("Renew", "Not now"));
    let mut mailbox = args(&["name", "not_after", "to", "programme", "secret"]);
    let changed = [("programme", "vps-postfach"), ("secret", "pin"), ("new_secret", "pin"), ("subject", "CN=Anna")];
    mailbox.extend(changed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let body = text().question(Asked::Consent, &QuestionView { args: Some(mailbox), ..question.clone() }).body;
    assert!(body.contains("the new certificate says CN=Anna.\nYou are asked for the PIN of the old file, and"), "{body}");
    assert!(body.ends_with("only messages to the new certificate arrive."), "{body}");
    let open = QuestionView { args: Some(args(&["to"])), ..question };
    assert!(!text().question(Asked::Consent, &open).body.contains("password"), "none is asked for where there is none");
}

#[test]
fn a_refused_secret_says_how_many_tries_are_left() {
    let question = QuestionView {
        name: "Anna Novak".into(),
        secret: Some("pin".into()),
        refused: Some(true),
        tries_left: Some(1),
        uses: Some(vec!["open-old".into(), "protect-new".into()]),
        ..Default::default()
    };
    let asked = text().question(Asked::Secret, &question);
    assert_eq!(asked.title, "PIN of Anna Novak");
    assert_eq!(
        asked.body,
        "That PIN was not right.\nOne try is left before it locks.\n\
         It is used to open the old file and to protect the new file."
    );
    let of_file = QuestionView { args: Some(args(&["path"])), secret: Some("password".into()), ..Default::default() };
    assert_eq!(text().question(Asked::Secret, &of_file).title, "Password of anna.p12");
}

#[test]
fn rules_are_explained_and_checked() {
    let text = text();
    let pin = RulesView { min: 4, max: 8, digits_only: true };
    let password = RulesView { min: 4, max: 8, digits_only: false };
    assert_eq!(text.rules(&pin), "4 to 8 digits.");
    assert_eq!(text.rule_broken(&pin, b"12a4").as_deref(), Some("Only digits, 0 to 9."));
    assert_eq!(text.rule_broken(&pin, b"123").as_deref(), Some("Too short: at least 4 digits."));
    assert_eq!(text.rule_broken(&pin, b"123456789").as_deref(), Some("Too long: at most 8 digits."));
    assert_eq!(text.rule_broken(&pin, b"1234"), None);
    assert_eq!(text.rule_broken(&password, "žluť".as_bytes()), None, "characters are counted, not bytes");
    assert_eq!(text.rule_broken(&password, "kůň".as_bytes()).as_deref(), Some("Too short: at least 4 characters."));
}

#[test]
fn what_became_of_a_certificate_is_said_with_what_to_do() {
    let text = text();
    let problem = |kind: &str, args: &[(&str, &str)]| ProblemView {
        kind: kind.into(),
        args: args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        who: "you".into(),
        by: None,
    };
    let revoked = problem("revoked", &[("since", "2026-10-01T00:00:00Z"), ("reason", "key-compromise")]);
    let item = ItemView { state: "revoked".into(), problem: Some(revoked), ..anna() };
    let notice = text.notice("revoked", &item, now());
    assert_eq!(notice.title, "Certificate of Anna Novak has been revoked");
    assert!(
        notice.body.starts_with("The authority has revoked this certificate on 1 Oct 2026: somebody else may"),
        "{notice:?}"
    );
    assert!(notice.body.contains("apply to the authority"), "{notice:?}");
    assert_eq!(text.state(&item), "revoked by its authority");
    let words = |name: &str| -> Vec<String> {
        let reasons = ["unspecified", "key-compromise", "authority-compromise", "affiliation-changed", "superseded"];
        let reasons = reasons.iter().chain(&["cessation-of-operation", "hold", "privilege-withdrawn"]);
        reasons
            .map(|reason| text.problem(&problem(name, &[("since", "2026-10-01T00:00:00Z"), ("reason", reason)])).sentence)
            .collect()
    };
    assert_distinct(words("revoked"));

    let ends = problem("authority-ends", &[("authority", "Example CA"), ("ends", "2026-11-03T11:00:00Z")]);
    let item = ItemView { problem: Some(ends), ..anna() };
    let notice = text.notice("three-weeks", &item, now());
    assert_eq!(notice.title, "Certificate of Anna Novak: renew by 3 Nov");
    assert!(
        notice.body.starts_with("The certificate of Example CA, which stands above this one, ends on 3 Nov 2026"),
        "{notice:?}"
    );
}

#[test]
fn how_it_was_found_out_is_said() {
    let text = text();
    let check = |check: &str, state: &str, args: &[(&str, &str)]| {
        let args = [&[("name", "Anna Novak")], args].concat();
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        text.check(&CheckView { check: check.into(), state: state.into(), args, ..CheckView::default() })
    };
    let good = |way, count| check("revocation", "ok", &[("standing", "good"), ("way", way), ("count", count)]).sentence;
    let said = "The certificate of Anna Novak has not been revoked: its authority said so, 3 hours ago.";
    assert_eq!(good("ocsp", "3"), said);
    assert!(good("list", "1").ends_with("the list of its authority says so, an hour ago."));
    assert!(good("ocsp", "0").ends_with("less than an hour ago."));
    let whys = [
        "no-address",
        "no-issuer",
        "unreachable",
        "late",
        "forbidden",
        "redirected",
        "refused",
        "too-long",
        "malformed",
        "unproven",
        "stale",
        "other",
        "unknown",
        "failed",
    ];
    let unknown = |why: &&str| check("revocation", "notice", &[("standing", "unknown"), ("why", why), ("count", "0")]);
    assert_distinct(whys.iter().map(|why| unknown(why).sentence).collect());
    assert!(unknown(&"forbidden").hint.contains("local = true"));
    let standing = |word| check("revocation", "ok", &[("standing", word)]).sentence;
    assert!(standing("waiting").contains("within the next minutes") && standing("off").contains("the configuration says so"));
    let reaches = ["nothing", "part", "root", "anchor"];
    assert_distinct(reaches.iter().map(|reach| check("chain", "ok", &[("reach", reach)]).sentence).collect());
}

fn assert_distinct(mut said: Vec<String>) {
    let all = said.len();
    said.sort();
    said.dedup();
    assert_eq!(said.len(), all, "{said:#?}");
}
