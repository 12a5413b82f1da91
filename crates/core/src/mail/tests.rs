//! The gate, condition by condition, over facts; what mails look like as bytes is tested where they are read.

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use super::*;
use crate::Programme;
use crate::certificate::Fingerprint;

const RULES: &str = r#"
[mail]
from = ["info.renewal@ica.test"]
domains = ["ica.test"]
signers = ["5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"]
links = ["https://www.ica.test/obnova/"]
within-minutes = 10

[[mail.letters]]
kind = "invitation"
subject = ["Vydání následného certifikátu"]
serial-after = ["sériové číslo"]

[[mail.letters]]
kind = "issued"
subject = ["certifikát byl vydán"]
text = ["je připraven"]
serial-after = ["serial"]
serial-base = "decimal"
links = ["https://www.ica.test/install"]
"#;

fn programme() -> Programme {
    with(RULES).expect("good rules")
}

fn with(rules: &str) -> Result<Programme, crate::programme::ProgrammeError> {
    let (_, text) = crate::programme::BUILT_IN[0];
    Programme::parse("x.toml", &format!("{text}{rules}"))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

/// An invitation as it should be.
fn good() -> Facts {
    let covers = Header::ALL.iter().map(|header| header.as_str().to_owned()).collect();
    Facts {
        certificates: Vec::new(),
        digest: Fingerprint::of(b"mail"),
        body: Fingerprint::of(b"body"),
        arrived: now(),
        heads: Heads {
            from: vec!["info.renewal@ica.test".into()],
            to: vec!["anna@example.org".into()],
            subject: Some("I.CA: Vydání  následného\r\n certifikátu".into()),
            date: Some(now() - Duration::hours(1)),
            message_id: Some("1@ica.test".into()),
        },
        counts: Header::ALL.iter().map(|header| (*header, 1)).collect(),
        signatures: vec![Signature {
            domain: "ica.test".into(),
            selector: "s1".into(),
            outcome: Outcome::Pass,
            algorithm: Algorithm::RsaSha256(2048),
            covers,
            partial: false,
            testing: false,
            key: Some(Fingerprint::of(b"key")),
        }],
        dmarc: Dmarc::None,
        seal: None,
        stamp: None,
        text: "Certifikát se sériovým číslem …\nSériové číslo: 01A2B3\nObnovte jej.".into(),
        links: vec![
            Link { text: "zde".into(), target: "https://www.ica.test/obnova/?sn=1a2b3".into() },
            Link { text: "www.ica.test".into(), target: "https://www.ica.test/".into() },
        ],
        malformed: None,
    }
}

fn judged(facts: &Facts) -> Letter {
    judge(facts, &programme(), &Letters::default(), &[]).expect("a concern of the programme's")
}

fn whys(facts: &Facts) -> Vec<Why> {
    judged(facts).standing.reasons().iter().map(|reason| reason.why).collect()
}

/// The only reason for a mail that was changed in this way.
fn why(change: impl FnOnce(&mut Facts)) -> Why {
    let mut facts = good();
    change(&mut facts);
    let letter = judged(&facts);
    assert_eq!(letter.by_itself().link(), None, "no link of what is not trusted");
    assert_eq!(letter.content.link, None, "nor is it kept");
    match whys(&facts).as_slice() {
        [why] => *why,
        other => panic!("one reason is expected: {other:?}"),
    }
}

fn signature(facts: &mut Facts) -> &mut Signature {
    &mut facts.signatures[0]
}

#[test]
fn a_good_invitation_is_trusted_and_offers_its_link() {
    let letter = judged(&good());
    assert_eq!((letter.kind, &letter.standing), (Kind::Invitation, &Standing::Trusted));
    assert_eq!(letter.by_itself().link(), Some("https://www.ica.test/obnova/?sn=1a2b3"));
    assert_eq!(letter.content.serial.as_deref(), Some("01a2b3"));
    assert_eq!(letter.unawaited().link(), None);
    let written = serde_json::to_string(&letter).expect("JSON");
    assert_eq!(serde_json::from_str::<Letter>(&written).expect("read again"), letter);
}

#[test]
fn each_condition_is_asked() {
    assert_eq!(why(|mail| mail.heads.from = vec!["renewal@ica.test".into()]), Why::SenderUnlisted);
    assert_eq!(why(|mail| mail.heads.from.push("eve@example.org".into())), Why::SeveralSenders);
    assert_eq!(why(|mail| mail.signatures.clear()), Why::Unsigned);
    assert_eq!(why(|mail| signature(mail).outcome = Outcome::Broken), Why::SignatureBroken);
    assert_eq!(why(|mail| signature(mail).outcome = Outcome::Unresolved), Why::Unresolved);
    assert_eq!(why(|mail| signature(mail).domain = "mailer.test".into()), Why::SignatureForeign);
    assert_eq!(why(|mail| signature(mail).algorithm = Algorithm::RsaSha256(1023)), Why::SignatureWeak);
    assert_eq!(why(|mail| signature(mail).algorithm = Algorithm::Other), Why::SignatureWeak);
    assert_eq!(why(|mail| signature(mail).partial = true), Why::SignatureWeak);
    assert_eq!(why(|mail| signature(mail).testing = true), Why::SignatureWeak);
    assert_eq!(why(|mail| mail.heads.date = None), Why::HeaderMissing);
    assert_eq!(why(|mail| mail.heads.message_id = None), Why::HeaderMissing);
    assert_eq!(why(|mail| mail.arrived += Duration::days(4)), Why::DateOff);
    assert_eq!(why(|mail| mail.arrived -= Duration::days(4)), Why::DateOff);
    assert_eq!(why(|mail| mail.malformed = Some("no-end".into())), Why::Malformed);
    assert_eq!(why(|mail| mail.dmarc = Dmarc::Unresolved), Why::Unresolved);
    assert_eq!(why(|mail| mail.links[0].text = "https://www.other.test/".into()), Why::LinkDiffers);
    assert_eq!(why(|mail| mail.links[0].target.push_str("&next=https://x.test")), Why::LinkUnsafe);
    for (at, header) in Header::ALL.iter().enumerate() {
        assert_eq!(why(|mail| mail.counts[at].1 = 2), Why::HeaderTwice, "{header:?}");
        assert_eq!(why(|mail| drop(signature(mail).covers.remove(at))), Why::HeaderUnsigned, "{header:?}");
    }
}

#[test]
fn only_policy_and_imitation_are_forgery() {
    let forged = |change: fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        let letter = judged(&facts);
        assert_eq!(letter.by_itself().link(), None);
        assert!(matches!(letter.standing, Standing::Forged(_)), "{:?}", letter.standing);
    };
    forged(|mail| mail.dmarc = Dmarc::Refused);
    forged(|mail| mail.links[1].target = "https://www.ica.test.example/obnova/".into());
    let mut facts = good();
    facts.dmarc = Dmarc::Fail;
    assert_eq!(judged(&facts).standing, Standing::Trusted, "the domain only wants to hear of it");
}

#[test]
fn headers_that_are_not_there_need_no_signature() {
    let mut facts = good();
    let optional = [Header::ReplyTo, Header::ContentType, Header::ContentTransferEncoding];
    facts.counts.retain(|(header, _)| !optional.contains(header));
    signature(&mut facts).covers.retain(|name| !optional.iter().any(|header| header.as_str() == name));
    assert_eq!(judged(&facts).standing, Standing::Trusted);
}

#[test]
fn one_good_signature_beside_others_is_enough() {
    let mut facts = good();
    let house = Signature { domain: "mailer.test".into(), ..facts.signatures[0].clone() };
    facts.signatures.insert(0, house.clone());
    facts.signatures.push(Signature { outcome: Outcome::Broken, ..house });
    let listed =
        with(&RULES.replace("domains = [\"ica.test\"]", "domains = [\"ica.test\", \"mailer.test\"]")).expect("good rules");
    let judged = |programme: &Programme| judge(&facts, programme, &Letters::default(), &[]).expect("a letter").standing;
    assert_eq!(judged(&listed), Standing::Trusted);
    assert!(matches!(judged(&programme()), Standing::Doubtful(_)), "a stranger's is one too many");
}

/// The conditions must hold for one and the same signature.
#[test]
fn what_two_signatures_have_is_not_added_up() {
    let mut facts = good();
    let mut other = facts.signatures[0].clone();
    other.covers.retain(|name| name != "subject");
    facts.signatures[0].outcome = Outcome::Broken;
    facts.signatures.push(other);
    assert_ne!(judged(&facts).standing, Standing::Trusted);
}

#[test]
fn a_named_server_replaces_the_cryptographic_result_alone() {
    let mut facts = good();
    facts.dmarc = Dmarc::Refused;
    signature(&mut facts).outcome = Outcome::Broken;
    let passed = vec![("ica.test".to_owned(), Some("s1".to_owned()))];
    facts.stamp = Some(Stamp { server: "mx.example.org".into(), passed, dmarc_passed: true });
    let servers = ["mx.example.org".to_owned()];
    let judged = |facts: &Facts, servers: &[String]| {
        judge(facts, &programme(), &Letters::default(), servers).expect("a letter").standing
    };
    assert_eq!(judged(&facts, &servers), Standing::Trusted);
    assert!(matches!(judged(&facts, &[]), Standing::Forged(_)), "nobody named it");
    let mut other = facts.clone();
    signature(&mut other).selector = "s2".into();
    assert_ne!(judged(&other, &servers), Standing::Trusted, "another signature");
    signature(&mut facts).covers.retain(|name| name != "to");
    assert!(matches!(judged(&facts, &servers), Standing::Doubtful(_)), "what it covers is still asked");
}

#[test]
fn a_mail_comes_once() {
    let mut past = Letters::default();
    let first = judged(&good());
    assert!(past.wants(&first, now()));
    past.add(first.clone());
    assert!(!past.wants(&first, now()), "the very same mail");
    let again = |change: fn(&mut Facts)| {
        let mut facts = good();
        facts.digest = Fingerprint::of(b"another");
        change(&mut facts);
        let letter = judge(&facts, &programme(), &past, &[]).expect("a letter");
        letter.standing.reasons().iter().map(|reason| reason.why).collect::<Vec<_>>()
    };
    assert_eq!(again(|_| {}), [Why::Replayed]);
    assert_eq!(again(|mail| mail.heads.message_id = Some("2@ica.test".into())), [Why::Replayed]);
    assert_eq!(again(|mail| mail.body = Fingerprint::of(b"2")), [Why::Replayed]);
    let other = |mail: &mut Facts| {
        mail.body = Fingerprint::of(b"2");
        mail.heads.message_id = Some("2@ica.test".into());
    };
    assert_eq!(again(other), []);
    let rotated = again(|mail| {
        mail.body = Fingerprint::of(b"2");
        mail.heads.message_id = Some("2@ica.test".into());
        signature(mail).key = Some(Fingerprint::of(b"another key"));
    });
    assert_eq!(rotated, [Why::KeyChanged]);
}

/// Somebody may send a copy before the right one comes.
#[test]
fn a_copy_that_nothing_vouches_for_takes_no_mail_s_place() {
    let mut past = Letters::default();
    let mut copy = good();
    copy.signatures.clear();
    past.add(judged(&copy));
    let letter = judge(&good(), &programme(), &past, &[]).expect("a letter");
    assert_eq!(letter.standing, Standing::Trusted);
    assert!(past.wants(&letter, now()), "it is better known now");
    past.add(letter.clone());
    assert_eq!(past.iter().count(), 1, "still one mail");
    assert!(!past.wants(&judged(&copy), now()), "and not the other way round");
}

#[test]
fn who_sends_many_fills_no_journal() {
    let mut past = Letters::default();
    let mut doubtful = good();
    doubtful.signatures.clear();
    let mut kept = 0;
    for number in 0..1000_u32 {
        doubtful.digest = Fingerprint::of(&number.to_be_bytes());
        let letter = judged(&doubtful);
        if past.wants(&letter, now()) {
            past.add(letter);
            kept += 1;
        }
    }
    assert!((10..100).contains(&kept), "{kept}");
    assert!(past.wants(&judged(&good()), now()), "a trusted one is always kept");
}

#[test]
fn strangers_mail_is_no_concern() {
    let mut facts = good();
    facts.heads.from = vec!["friend@example.org".into()];
    facts.heads.subject = Some("Sejdeme se?".into());
    assert_eq!(judge(&facts, &programme(), &Letters::default(), &[]), None);
    let (_, text) = crate::programme::BUILT_IN[0];
    let silent = Programme::parse("x.toml", text).expect("good");
    assert_eq!(judge(&good(), &silent, &Letters::default(), &[]), None, "a programme without mails");
    facts.heads.from = vec!["info.renewal@ica.test".into()];
    assert_eq!(judged(&facts).kind, Kind::Other);
}

#[test]
fn kinds_are_told_by_subject_and_text() {
    let mut facts = good();
    facts.heads.subject = Some("Váš CERTIFIKÁT byl vydán".into());
    assert_eq!(judged(&facts).kind, Kind::Other, "the text is another one");
    facts.text = "Certifikát je\u{a0}připraven. Serial 1715004 .".into();
    facts.links.push(Link { text: "x".into(), target: "https://www.ica.test/install/9".into() });
    let letter = judged(&facts);
    assert_eq!(letter.kind, Kind::Issued);
    assert_eq!(letter.content.serial.as_deref(), Some("1a2b3c"));
    assert_eq!(letter.content.link.as_deref(), Some("https://www.ica.test/install/9"), "as the kind says");
}

#[test]
fn of_two_links_none_is_meant() {
    let mut facts = good();
    facts.links.push(facts.links[0].clone());
    assert!(judged(&facts).by_itself().link().is_some(), "the same twice");
    facts.links.push(Link { text: "x".into(), target: "https://www.ica.test/obnova/?sn=2".into() });
    let letter = judged(&facts);
    assert_eq!((letter.by_itself().link(), &letter.standing), (None, &Standing::Trusted));
}

fn sealed() -> Facts {
    let mut facts = good();
    facts.signatures.clear();
    facts.text.push_str("\nvedený na anna@example.org, dotazy: info@ica.test");
    facts.seal = Some(Seal {
        valid: true,
        signer: Fingerprint::of(b"abcdef-signer"),
        addresses: vec!["info.renewal@ica.test".into()],
        signed_at: Some(now()),
        protected: None,
    });
    facts
}

#[test]
fn s_mime_counts_inside_alone() {
    let rules = RULES
        .replace(
            "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456",
            &Fingerprint::of(b"abcdef-signer").to_string(),
        )
        .replace("kind = \"invitation\"\n", "kind = \"invitation\"\ntext = [\"obnovte jej\"]\n");
    let programme = with(&rules).expect("good rules");
    let judged = |facts: &Facts| judge(facts, &programme, &Letters::default(), &[]).expect("a letter");
    let letter = judged(&sealed());
    assert_eq!((letter.kind, &letter.standing), (Kind::Invitation, &Standing::Trusted));
    assert_eq!(letter.content.to, ["anna@example.org", "info@ica.test"]);
    let doubtful = |change: fn(&mut Facts)| {
        let mut facts = sealed();
        change(&mut facts);
        judged(&facts).standing.reasons().first().map(|reason| reason.why)
    };
    let seal = |facts: &mut Facts, change: fn(&mut Seal)| change(facts.seal.as_mut().expect("a seal"));
    assert_eq!(doubtful(|_| {}), None);
    assert_eq!(doubtful(|mail| mail.seal.as_mut().expect("a seal").valid = false), Some(Why::SignatureBroken));
    assert_eq!(doubtful(|mail| mail.seal.as_mut().expect("a seal").signer = Fingerprint::of(b"x")), Some(Why::SignerUnknown));
    assert_eq!(doubtful(|mail| mail.seal.as_mut().expect("a seal").addresses.clear()), Some(Why::SignerUnknown));
    assert_eq!(doubtful(|mail| mail.seal.as_mut().expect("a seal").signed_at = None), Some(Why::HeaderMissing));
    assert_eq!(doubtful(|mail| mail.arrived += Duration::days(400)), Some(Why::DateOff));
    let mut covered = sealed();
    let heads = Heads { to: vec!["eva@example.org".into()], ..covered.heads.clone() };
    covered.seal.as_mut().expect("a seal").protected = Some(heads);
    assert_eq!(judged(&covered).content.to, ["eva@example.org"], "the inner one counts");
    seal(&mut covered, |seal| seal.protected.as_mut().expect("heads").from = vec!["eve@example.org".into()]);
    assert_eq!(judged(&covered).standing.reasons()[0].why, Why::SignerUnknown);
}

#[test]
fn mistakes_in_rules_are_told_where_they_stand() {
    let mistake = |from: &str, to: &str| {
        assert!(RULES.contains(from), "the text to break is there");
        with(&RULES.replacen(from, to, 1)).expect_err("a mistake")
    };
    let lines = crate::programme::BUILT_IN[0].1.lines().count();
    let error = mistake("\"info.renewal@ica.test\"", "\"I.CA <info@ica.test>\"");
    assert_eq!((error.line - lines, error.column), (3, 9), "{error}");
    assert!(error.message.contains("a full address in lower case"), "{error}");
    for (from, to, expected) in [
        ("\"ica.test\"", "\"ICA.test\"", "a domain in lower case"),
        ("https://www.ica.test/obnova/", "http://www.ica.test/", "as `https://www.example.org/renew/`"),
        ("5df6e0", "", "64 hexadecimal digits"),
        ("\"invitation\"", "\"other\"", "of the kind `other` by itself"),
        ("\"invitation\"", "\"inviting\"", "unknown variant `inviting`, expected one of `invitation`"),
        ("subject = [\"Vydání následného certifikátu\"]", "", "`subject` or `text` is expected"),
        ("\"Vydání následného certifikátu\"", "\"a\"", "at least 4 characters"),
        ("within-minutes = 10", "within-minutes = 0", "between 1 and 10080"),
        ("serial-base", "serials-base", "unknown field `serials-base`"),
        ("\"sériové číslo\"", "\" \"", "the words in front of the number"),
    ] {
        let error = mistake(from, to);
        assert!(error.message.contains(expected), "{error}");
    }
    let unsigned = RULES.lines().filter(|line| !line.starts_with("signers")).collect::<Vec<_>>().join("\n");
    with(&unsigned).expect("DKIM alone");
    let error = with(&unsigned.replace("\"ica.test\"", "\"mailer.test\"")).expect_err("a mistake");
    assert!(error.message.contains("one of `domains` is expected to be `ica.test`"), "{error}");
}

proptest! {
    #[test]
    fn no_text_and_no_link_panics(text in ".{0,200}", subject in ".{0,60}", target in "(https://)?(www\\.ica\\.test)?[ -~а-я]{0,40}") {
        let mut facts = good();
        facts.text = format!("{text} sériové číslo {text}");
        facts.heads.subject = Some(format!("{subject} certifikát byl vydán je připraven {subject}"));
        facts.links = vec![Link { text, target: target.clone() }];
        let letter = judged(&facts);
        if let Some(link) = letter.by_itself().link() {
            prop_assert!(link.starts_with("https://www.ica.test/obnova/") || link.starts_with("https://www.ica.test/install"), "{}", link);
        }
    }
}
