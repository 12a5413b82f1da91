//! Mails, from their bytes to what they are worth: a corpus as data, whose makers are in here, too, and what comes of changing any
//! byte of it. `UPDATE=1` writes the corpus anew.

mod attacks;
mod changes;
mod corpus;
mod genuine;
mod honest;
mod imap;
pub(crate) mod maildir;
mod servers;
pub(crate) mod story;
mod verbs;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use obnova_core::certificate::{KeyAlgorithm, Texts};
use obnova_core::mail::{Facts, Kind, Letter, Letters};
use obnova_core::{Certificate, Fingerprint, Programme};
use obnova_tests::letter::{Mail, directory, published};
use obnovad::courier::protocol::Names;
use obnovad::mail::{Resolver, read};

/// To whom the mails of the corpus are.
const ANNA: &str = "anna.novakova@example.org";

/// Anna's serial number.
const SERIAL: [u8; 3] = [0x1a, 0x2b, 0x3c];

/// When they come, unless told.
fn arrival() -> DateTime<Utc> {
    "2026-11-02T09:00:30Z".parse().expect("a time")
}

/// A mail of the corpus, and what must come of it.
struct Case {
    number: u32,
    about: String,
    mail: Vec<u8>,
    expected: Expected,
}

/// What must come of a mail.
#[derive(Clone, Debug)]
struct Expected {
    arrived: DateTime<Utc>,
    holder: &'static str,
    /// `None`: it is no concern of the programme's.
    kind: Option<Kind>,
    standing: &'static str,
    /// The first reason.
    why: Option<&'static str>,
    link: Option<String>,
}

impl Expected {
    fn trusted(kind: Kind, link: Option<&str>) -> Self {
        let link = link.map(str::to_owned);
        Self { arrived: arrival(), holder: ANNA, kind: Some(kind), standing: "trusted", why: None, link }
    }

    fn doubtful(kind: Kind, why: &'static str) -> Self {
        Self { standing: "doubtful", why: Some(why), ..Self::trusted(kind, None) }
    }

    fn forged(kind: Kind, why: &'static str) -> Self {
        Self { standing: "forged", why: Some(why), ..Self::trusted(kind, None) }
    }

    fn unconcerned() -> Self {
        Self { kind: None, standing: "", ..Self::trusted(Kind::Other, None) }
    }
}

impl Case {
    fn new(number: u32, about: impl Into<String>, mail: &Mail, expected: Expected) -> Self {
        Self { number, about: about.into(), mail: mail.bytes(), expected }
    }
}

/// All of the corpus.
fn cases() -> Vec<Case> {
    [genuine::cases(), attacks::cases(), honest::cases()].into_iter().flatten().collect()
}

/// The rules that the corpus is judged by.
fn programme() -> Programme {
    let path = directory().join("programme.toml");
    let text = std::fs::read_to_string(&path).expect("the programme");
    Programme::parse("programme.toml", &text).expect("good rules")
}

/// What the domain name system says in the world of the corpus.
fn zone() -> Vec<(String, String)> {
    let key = |name: &str, selector: &str| (format!("{selector}._domainkey.{name}"), published(selector));
    let mut zone: Vec<(String, String)> = ["ica.test", "certifikat.test", "trust.test", "authority.test"]
        .into_iter()
        .flat_map(|domain| ["s1", "s2", "e1"].map(|selector| key(domain, selector)))
        .collect();
    zone.extend([
        key("mailer.test", "other"),
        key("evil.test", "other"),
        key("ica-test.example", "other"),
        key("xn--ca-epa.test", "other"),
        key("ica.test", "k768"),
        key("ica.test", "k1024"),
        ("testing._domainkey.ica.test".to_owned(), published("s1").replace("k=rsa;", "k=rsa; t=y:s;")),
        ("revoked._domainkey.ica.test".to_owned(), "v=DKIM1; k=rsa; p=".to_owned()),
        ("wrong._domainkey.ica.test".to_owned(), published("other")),
        ("_dmarc.certifikat.test".to_owned(), "v=DMARC1; p=none".to_owned()),
        ("_dmarc.authority.test".to_owned(), "v=DMARC1; p=reject; rua=mailto:d@authority.test".to_owned()),
    ]);
    zone.sort();
    zone
}

static RESOLVER: LazyLock<Resolver> =
    LazyLock::new(|| Resolver::new(Names::zone(zone().into_iter().map(|(name, text)| (name, vec![text.into_bytes()])))));

static PROGRAMME: LazyLock<Programme> = LazyLock::new(programme);

async fn facts(mail: &[u8], arrived: DateTime<Utc>) -> Option<Facts> {
    read(mail, arrived, &RESOLVER).await.ok()
}

/// What the letter is that these bytes are, if it is one.
async fn letter(mail: &[u8], arrived: DateTime<Utc>) -> Option<Letter> {
    let facts = facts(mail, arrived).await?;
    obnova_core::mail::judge(&facts, &PROGRAMME, &Letters::default(), &[])
}

/// A certificate as far as mails are about one.
fn certificate(holder: &str) -> Certificate {
    let mark = Fingerprint::of(holder.as_bytes());
    Certificate {
        fingerprint: mark,
        public_key: mark,
        holder: mark,
        texts: Texts::new("CN=Anna", "CN=Authority", "Anna", &format!("{holder}\n"), &SERIAL),
        not_before: arrival() - chrono::Duration::days(300),
        not_after: arrival() + chrono::Duration::days(20),
        key: KeyAlgorithm::P256,
        authority: false,
        usage: None,
    }
}
