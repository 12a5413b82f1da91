//! Mails that mean to deceive. None is trusted, and none offers a link.

use chrono::Duration;
use obnova_core::mail::Kind;
use obnova_tests::letter::{Dkim, Mail, encoded_word};

use super::genuine::TONGUES;
use super::{Case, Expected, arrival};

const EVIL: &str = "https://www.evil.test/obnova/";

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (about, mail, expected) in
        changed().into_iter().chain(doubled()).chain(weak()).chain(senders()).chain(links()).chain(shapes())
    {
        cases.push(Case::new(100 + u32::try_from(cases.len()).expect("few"), about, &mail, expected));
    }
    cases
}

type Attack = (String, Mail, Expected);

fn doubtful(about: &str, why: &'static str, mail: Mail) -> Attack {
    (about.to_owned(), mail, Expected::doubtful(Kind::Invitation, why))
}

fn forged(about: &str, why: &'static str, mail: Mail) -> Attack {
    (about.to_owned(), mail, Expected::forged(Kind::Invitation, why))
}

fn good() -> Mail {
    TONGUES[0].invitation()
}

fn unsigned() -> Mail {
    TONGUES[0].unsigned()
}

fn own() -> Dkim {
    TONGUES[0].dkim()
}

/// Changed on its way.
fn changed() -> Vec<Attack> {
    let link = TONGUES[0].link;
    let replayed = (
        "a good one that was sent to somebody else".to_owned(),
        good(),
        Expected { holder: "eva@example.org", ..Expected::doubtful(Kind::Invitation, "not-addressed") },
    );
    let late = (
        "a good one, a year later".to_owned(),
        good(),
        Expected { arrived: arrival() + Duration::days(365), ..Expected::doubtful(Kind::Invitation, "date-off") },
    );
    let early = (
        "a good one, dated a week ahead".to_owned(),
        good(),
        Expected { arrived: arrival() - Duration::days(7), ..Expected::doubtful(Kind::Invitation, "date-off") },
    );
    vec![
        doubtful("its link was changed", "signature-broken", good().exchange("sn=1a2b3c", "sn=ffffff")),
        doubtful("its link was exchanged", "signature-broken", good().exchange(link, EVIL)),
        doubtful(
            "something was added below",
            "signature-broken",
            good().exchange("lang=cs", "lang=cs\r\nhttps://www.evil.test/"),
        ),
        doubtful(
            "its subject was changed",
            "signature-broken",
            good().with("Subject", &encoded_word("utf-8", "Vydání následného certifikátu!".as_bytes())),
        ),
        doubtful(
            "its addressee was changed",
            "signature-broken",
            good().with("To", "<anna.novakova@example.org>, eve@evil.test"),
        ),
        doubtful("its date was changed", "signature-broken", good().with("Date", "Mon, 2 Nov 2026 10:00:01 +0100")),
        doubtful("its number was changed", "signature-broken", good().with("Message-ID", "<other@ica.test>")),
        doubtful("answers go elsewhere", "signature-broken", good().with("Reply-To", "eve@evil.test")),
        (
            "its charset was changed".to_owned(),
            good().with("Content-Type", "text/plain; charset=utf-7"),
            // What it says cannot be read any more.
            Expected::doubtful(Kind::Other, "signature-broken"),
        ),
        doubtful(
            "a header that was signed as missing was added",
            "signature-broken",
            unsigned().without("Reply-To").signed(&own()).header("Reply-To", "eve@evil.test"),
        ),
        doubtful("its signature was cut out", "unsigned", good().without("DKIM-Signature")),
        replayed,
        late,
        early,
        doubtful("without a date", "header-missing", unsigned().without("Date").signed(&own())),
        doubtful("without a number", "header-missing", unsigned().without("Message-ID").signed(&own())),
        doubtful("to nobody", "not-addressed", unsigned().without("To").signed(&own())),
        doubtful("to a list", "not-addressed", unsigned().with("To", "undisclosed-recipients:;").signed(&own())),
        doubtful(
            "to others, too",
            "not-addressed",
            unsigned().with("To", "anna.novakova@example.org, eve@evil.test").signed(&own()),
        ),
    ]
}

/// With a header twice.
fn doubled() -> Vec<Attack> {
    let headers = [
        ("From", "info.renewal@ica.test"),
        ("To", "anna.novakova@example.org"),
        ("Subject", "Vydání následného certifikátu"),
        ("Date", "Mon, 2 Nov 2026 10:00:00 +0100"),
        ("Message-ID", "<second@ica.test>"),
        ("Reply-To", "eve@evil.test"),
        ("Content-Type", "text/html"),
        ("Content-Transfer-Encoding", "8bit"),
    ];
    let mut attacks: Vec<Attack> = Vec::new();
    for (name, value) in headers {
        attacks.push(doubtful(&format!("a second {name} above"), "header-twice", good().above(name, value)));
        attacks.push(doubtful(&format!("a second {name} below"), "header-twice", good().header(name, value)));
    }
    attacks.push(doubtful(
        "a second Subject that was signed",
        "header-twice",
        unsigned().header("Subject", "Vydání následného certifikátu").signed(&own()),
    ));
    attacks
}

/// With a signature that vouches for less than it seems.
fn weak() -> Vec<Attack> {
    let by = |selector| unsigned().signed(&Dkim::by("ica.test", selector));
    let named =
        |selector: &str| good().with("DKIM-Signature", &signature_of(&good()).replace("s=s1;", &format!("s={selector};")));
    let mut attacks = vec![
        doubtful("signed by somebody else", "signature-foreign", unsigned().signed(&Dkim::by("evil.test", "other"))),
        doubtful("signed by another authority", "signature-foreign", unsigned().signed(&Dkim::by("trust.test", "s1"))),
        doubtful("half of it is signed", "signature-weak", {
            let mail = unsigned();
            let length = mail.body.len();
            mail.signed(&Dkim { length: Some(length), ..own() }).exchange("lang=cs", "lang=cs")
        }),
        doubtful("more follows behind what is signed", "signature-weak", {
            let mail = unsigned();
            let length = mail.body.len();
            let mut mail = mail.signed(&Dkim { length: Some(length), ..own() });
            mail.body.extend(b"https://www.evil.test/\r\n");
            mail
        }),
        doubtful("nothing of it is signed", "signature-weak", unsigned().signed(&Dkim { length: Some(0), ..own() })),
        doubtful("with a key that is too short", "signature-weak", by("k768")),
        doubtful(
            "with a key that is tried out",
            "signature-weak",
            unsigned().signed(&own()).with("DKIM-Signature", "placeholder"),
        ),
        doubtful("with a key that was revoked", "signature-broken", named("revoked")),
        doubtful("with a key that is not there", "signature-broken", named("nowhere")),
        doubtful("with another key than the published", "signature-broken", named("wrong")),
        doubtful(
            "a signature that says rsa-sha1",
            "signature-broken",
            good().with("DKIM-Signature", &signature_of(&good()).replace("rsa-sha256", "rsa-sha1")),
        ),
        doubtful(
            "a signature that is none",
            "signature-broken",
            unsigned().above("DKIM-Signature", "v=1; a=rsa-sha256; d=ica.test"),
        ),
        doubtful(
            "a signature that has ended",
            "signature-broken",
            good().with("DKIM-Signature", &signature_of(&good()).replace("v=1;", "v=1; t=1000; x=2000;")),
        ),
        doubtful("its domain's tester signs", "signature-foreign", unsigned().signed(&Dkim::by("mailer.test", "other"))),
    ];
    attacks[6].1 = testing();
    for header in ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Content-Type", "Content-Transfer-Encoding"] {
        let mail = unsigned().signed(&own().without(header));
        attacks.push(doubtful(&format!("{header} is not signed"), "header-unsigned", mail));
    }
    let mail = unsigned().signed(&own().without("Subject"));
    let subject = encoded_word("utf-8", "Neodkladné: Vydání následného certifikátu".as_bytes());
    attacks.push(doubtful("Subject was not signed, and changed", "header-unsigned", mail.with("Subject", &subject)));
    attacks
}

/// A good signature by a key whose domain says that it only tries out.
fn testing() -> Mail {
    unsigned().signed(&Dkim::by("ica.test", "testing"))
}

fn signature_of(mail: &Mail) -> String {
    let found = mail.headers.iter().find(|(name, _)| name == "DKIM-Signature");
    found.map(|(_, value)| value.clone()).expect("a signature")
}

/// From somebody else.
fn senders() -> Vec<Attack> {
    let from = |from: &str, domain: &'static str| unsigned().with("From", from).signed(&Dkim::by(domain, "other"));
    let twice = |from: &str| unsigned().with("From", from).signed(&own());
    let strict = TONGUES[3].unsigned();
    vec![
        doubtful("from a domain that looks alike", "sender-unlisted", from("info.renewal@ica-test.example", "ica-test.example")),
        doubtful("from a domain in other letters", "sender-unlisted", from("info.renewal@xn--ca-epa.test", "xn--ca-epa.test")),
        doubtful("with the address as its name", "sender-unlisted", from("\"info.renewal@ica.test\" <eve@evil.test>", "evil.test")),
        doubtful("with the address as a comment", "sender-unlisted", from("eve@evil.test (info.renewal@ica.test)", "evil.test")),
        doubtful("with the address in an encoded name", "sender-unlisted", from("=?utf-8?q?info.renewal=40ica.test?= <eve@evil.test>", "evil.test")),
        doubtful("from two", "several-senders", twice("info.renewal@ica.test, eve@evil.test")),
        doubtful("from a group", "several-senders", twice("I.CA: info.renewal@ica.test, eve@evil.test;")),
        doubtful("from another of the house", "sender-unlisted", twice("info@ica.test")),
        doubtful("from below the house", "sender-unlisted", twice("info.renewal@mail.ica.test")),
        doubtful("from nobody", "header-missing", unsigned().without("From").signed(&own())),
        forged("unsigned, where the domain rejects such", "policy-broken", strict.clone()),
        forged("changed, where the domain rejects such", "policy-broken", TONGUES[3].invitation().exchange("5511", "5512")),
        forged("signed by another, where the domain rejects such", "policy-broken", strict.signed(&Dkim::by("evil.test", "other"))),
        (
            "a help desk that answers by itself and quotes an attacker".to_owned(),
            Mail::new()
                .header("From", "Help desk <helpdesk@example.org>")
                .header("To", "anna.novakova@example.org")
                .header("Subject", "Re: Your certificate is about to expire")
                .header("Date", "Mon, 2 Nov 2026 10:00:00 +0100")
                .header("Message-ID", "<auto@example.org>")
                .header("Auto-Submitted", "auto-replied")
                .header("Content-Type", "text/plain")
                .body("We got your question.\n> Your certificate expires on 10 November.\n> https://renew.authority.test/r/5511-aa\n> https://www.evil.test/\n"),
            Expected::doubtful(Kind::Invitation, "sender-unlisted"),
        ),
        (
            "a stranger about something else".to_owned(),
            Mail::new().header("From", "eve@evil.test").header("Subject", "Hello").header("Date", "Mon, 2 Nov 2026 10:00:00 +0100").body("Hi.\n"),
            Expected::unconcerned(),
        ),
    ]
}

/// With links that lead elsewhere, though all is well signed: as if somebody had got into the authority's mailing house.
fn links() -> Vec<Attack> {
    let czech = &TONGUES[0];
    let plain = |link: &str| unsigned().exchange(czech.link, link).signed(&own());
    let html = |from: &str, to: &str| {
        let text = czech.html();
        assert!(text.contains(from), "the text to change is there");
        czech.html_invitation(&text.replacen(from, to, 1))
    };
    let escaped = czech.link.replace('&', "&amp;");
    let mut attacks: Vec<Attack> = [
        ("an open redirector", "https://www.ica.test/obnova/?next=https://www.evil.test/"),
        ("an open redirector, escaped", "https://www.ica.test/obnova/?next=https%3A%2F%2Fwww.evil.test"),
        ("an open redirector, escaped twice", "https://www.ica.test/obnova/?next=https%253A%252F%252Fwww.evil.test"),
        ("an open redirector without a scheme", "https://www.ica.test/obnova/?next=//www.evil.test"),
        ("an open redirector in base64", "https://www.ica.test/obnova/?next=aHR0cHM6Ly93d3cuZXZpbC50ZXN0"),
        ("another port", "https://www.ica.test:8443/obnova/"),
        ("a name in front of the host", "https://anna@www.ica.test/obnova/"),
        ("without TLS", "http://www.ica.test/obnova/"),
        ("a slash in disguise", "https://www.ica.test/obnova/..%2f..%2fevil"),
    ]
    .map(|(about, link)| doubtful(about, "link-unsafe", plain(link)))
    .into();
    attacks.extend(
        [
            ("the host in front of another", "https://www.ica.test.evil.test/obnova/"),
            ("the host with hyphens", "https://www-ica-test.evil.test/obnova/"),
            ("the host as a name", "https://www.ica.test@www.evil.test/obnova/"),
            ("Cyrillic letters", "https://www.іca.test/obnova/"),
            ("a digit for a letter", "https://www.1ca.test/obnova/"),
            ("letters with marks", "https://www.icà.test/obnova/"),
            ("a letter too many", "https://forny.certifikaat.test/signatur"),
            ("the name with an addition", "https://certifikat-forny.test/signatur"),
            ("the name below another top", "https://forny.certifikat.example/signatur"),
        ]
        .map(|(about, link)| forged(about, "link-imitates", plain(link))),
    );
    attacks.push(doubtful("a link that shows another", "link-differs", html(czech.click, "https://www.evil.test/")));
    attacks.push(doubtful(
        "a link that shows this one",
        "link-differs",
        html(&format!("href=\"{escaped}\">{}", czech.click), "href=\"https://www.evil.test/\">www.ica.test"),
    ));
    attacks.push(doubtful(
        "links are turned elsewhere",
        "malformed",
        html("<html>", "<html><base href=\"https://www.evil.test/\">"),
    ));
    for (about, target) in [
        ("a link elsewhere", EVIL),
        ("a link to another page of the house", "https://www.ica.test/kontakt"),
        ("a link that is a program", "javascript:alert(1)"),
        ("a link to a number", "https://192.0.2.1/obnova/"),
    ] {
        // Well signed, and nothing imitates: believed, but there is nothing to open.
        attacks.push((about.to_owned(), html(&escaped, target), Expected::trusted(Kind::Invitation, None)));
    }
    attacks
}

/// Not made as mails are.
fn shapes() -> Vec<Attack> {
    let czech = &TONGUES[0];
    let raw = |mail: Mail, change: fn(&mut Vec<u8>)| {
        let mut mail = mail;
        change(&mut mail.body);
        mail
    };
    let inner = String::from_utf8(good().bytes()).expect("text");
    let nested = |from: &str, subject: &str| {
        Mail::new()
            .header("From", from)
            .header("To", "anna.novakova@example.org")
            .header("Subject", subject)
            .header("Date", "Mon, 2 Nov 2026 10:00:00 +0100")
            .header("Message-ID", "<outer@evil.test>")
            .header("MIME-Version", "1.0")
            .header("Content-Type", "message/rfc822")
            .header("Content-Transfer-Encoding", "8bit")
            .body(&inner)
    };
    let subject = encoded_word("utf-8", czech.invites.as_bytes());
    vec![
        (
            "a good one within a stranger's".to_owned(),
            nested("eve@evil.test", "Fwd").signed(&Dkim::by("evil.test", "other")),
            Expected::unconcerned(),
        ),
        (
            "a good one within one that pretends".to_owned(),
            nested("info.renewal@ica.test", &subject),
            Expected::doubtful(Kind::Other, "unsigned"),
        ),
        doubtful(
            "a carriage return within a line",
            "malformed",
            raw(unsigned(), |body| body.extend(b"x\ry\r\n")).signed(&own()),
        ),
        doubtful("lines that end in two ways", "malformed", raw(good(), |body| body.extend(b"x\ny\r\n"))),
        doubtful("a zero byte", "malformed", raw(unsigned(), |body| body.extend(b"x\0y\r\n")).signed(&own())),
        doubtful("headers without end", "malformed", good().header("X-Filler", &"x".repeat(70_000))),
        doubtful("signatures without end", "signature-broken", {
            let mut mail = good();
            for _ in 0..40 {
                mail = mail
                    .above("DKIM-Signature", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=ica.test; s=s1; h=from; bh=AAAA; b=AAAA");
            }
            mail
        }),
        (
            "a part that never ends".to_owned(),
            czech.headers(czech.invites).header("Content-Type", "multipart/mixed; boundary=\"part\"").body(format!(
                "--part\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n!!{}",
                czech.text
            )),
            Expected::doubtful(Kind::Other, "unsigned"),
        ),
        doubtful(
            "a space behind a header's name",
            "signature-broken",
            good().with("Subject", "x").without("Subject").header("Subject ", &subject),
        ),
    ]
}
