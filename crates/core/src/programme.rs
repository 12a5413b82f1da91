//! How one authority's certificates are renewed: one TOML file, read into a checked value.
//!
//! A new programme is one file in `programmes/` and one line in [`BUILT_IN`]; nothing else knows its name.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::certificate::{Certificate, KeyAlgorithm};
use crate::mail::{MailRules, MailSource};
use crate::plan::{Plan, Step};

mod authority;
mod consumer;
mod hand;
mod visiting_card;

pub use authority::{
    Address, Anchors, Authority, Computer, Correspondence, Enrol, MailAddress, NoMailAddress, Page, Remote, Resend,
};
pub use consumer::Consumer;
pub use hand::HandStep;
pub use visiting_card::VisitingCard;

/// The programmes that come with Obnova: file name and text.
///
/// What is about fewer certificates stands before what is about more: the first programme that fits is meant.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("vps-postfach.toml", include_str!("programmes/vps-postfach.toml")),
    ("self-signed.toml", include_str!("programmes/self-signed.toml")),
];

/// The built-in programmes, read and checked.
///
/// An error here is a mistake in this crate, and a test holds that there is none.
pub fn built_in() -> Result<Vec<Programme>, ProgrammeError> {
    BUILT_IN.iter().map(|(file, text)| Programme::parse(file, text)).collect()
}

/// How certificates of one kind are renewed.
#[derive(Clone, Debug, PartialEq)]
pub struct Programme {
    /// Its name, as in views and records.
    pub name: String,
    /// Which certificates it renews, and in which role. Those of one holder that have different roles are renewed together.
    pub matching: Vec<Matching>,
    /// Who starts a renewal.
    pub start: Start,
    /// What the new key is like.
    pub key: KeyRule,
    /// What protects the new key, and what a new secret must look like.
    pub secret: SecretRule,
    /// Who issues.
    pub authority: Authority,
    /// What its authority's mails are like; `None`: it writes none.
    pub mail: Option<MailRules>,
    /// Where the new files go.
    pub install: InstallRule,
    /// Who must learn of them, in this order.
    pub consumers: Vec<Consumer>,
    /// What the person does by hand: one for each step `by-hand`, in their order.
    pub hand: Vec<HandStep>,
    /// The steps, in order.
    pub plan: Plan,
    /// What has ended is still good for.
    pub expired: Expired,
    /// The visiting cards of the mailboxes whose certificates it renews, where it asks for some.
    pub visiting_cards: Vec<VisitingCard>,
}

/// What a certificate is still good for when it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expired {
    /// For nothing.
    #[default]
    Ended,
    /// What others send still arrives and is opened; nothing can be sent.
    ReceiveOnly,
}

impl Expired {
    /// The word for the state of such a certificate.
    pub fn state(self) -> &'static str {
        match self {
            Self::Ended => "expired",
            Self::ReceiveOnly => "receive-only",
        }
    }
}

/// Which certificates a programme renews in one role. Everything that is said must hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Matching {
    /// The role of such a certificate within its identity.
    pub role: String,
    /// Subject and issuer are the same name.
    pub self_issued: bool,
    /// This stands in the issuer's distinguished name (RFC 4514).
    pub issuer: Option<String>,
    /// Its `KeyUsage` says nonRepudiation (contentCommitment), or does not (RFC 5280 section 4.2.1.3).
    pub non_repudiation: Option<bool>,
    /// It is of a mailbox whose visiting card is configured.
    #[serde(default)]
    pub visiting_card: bool,
}

impl Matching {
    fn holds(&self, certificate: &Certificate) -> bool {
        certificate.self_issued() == self.self_issued
            && self.issuer.as_ref().is_none_or(|issuer| certificate.issuer().contains(issuer.as_str()))
            && self.non_repudiation.is_none_or(|asked| asked == certificate.usage.is_some_and(|bits| bits & 0b10 != 0))
    }
}

/// Who starts a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The person, by a click or a command.
    Ask,
    /// Obnova, when the first warning would be due. Only where nothing leaves this machine and nobody is needed.
    Auto,
}

/// Where new files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstallRule {
    /// Beside the old ones, which stay as they are.
    #[default]
    Beside,
    /// In place of the old ones, for services that know them by their names. A dated copy of the old ones is kept beside them.
    Replace,
}

impl InstallRule {
    /// Whether it is the usual one.
    pub fn is_beside(&self) -> bool {
        *self == Self::Beside
    }
}

/// What the new key is like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeyRule {
    /// Its kind.
    pub algorithm: AlgorithmRule,
}

/// The kind of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlgorithmRule {
    /// As the old one's, or the next stronger that is made.
    Same,
    /// RSA, 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA, 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA, 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// NIST P-256.
    #[serde(rename = "p-256")]
    P256,
    /// NIST P-384.
    #[serde(rename = "p-384")]
    P384,
}

impl fmt::Display for AlgorithmRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::P256 => "p-256",
            Self::P384 => "p-384",
        })
    }
}

impl AlgorithmRule {
    /// The kind of key that takes the old one's place; `None` where Obnova makes none that would be as strong.
    pub fn successor(self, old: KeyAlgorithm) -> Option<KeyAlgorithm> {
        let new = match self {
            Self::Same => return old.successor(),
            Self::Rsa2048 => KeyAlgorithm::Rsa(2048),
            Self::Rsa3072 => KeyAlgorithm::Rsa(3072),
            Self::Rsa4096 => KeyAlgorithm::Rsa(4096),
            Self::P256 => KeyAlgorithm::P256,
            Self::P384 => KeyAlgorithm::P384,
        };
        (new.strength() >= old.strength()).then_some(new)
    }
}

/// What protects a key file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretRule {
    /// How the person calls it.
    pub kind: SecretKind,
    /// The fewest characters of a new one.
    pub min_length: u32,
    /// The most characters of a new one.
    pub max_length: u32,
    /// Decimal digits and nothing else.
    pub digits_only: bool,
    /// Where the new file's secret comes from.
    pub new: NewSecret,
}

impl SecretRule {
    /// A password of any form, but one.
    pub fn any_password() -> Self {
        Self { kind: SecretKind::Password, min_length: 1, max_length: 255, digits_only: false, new: NewSecret::Ask }
    }

    /// Whether a new secret of these characters may be used.
    pub fn permits(&self, secret: &str) -> bool {
        let length = secret.chars().count();
        length >= self.min_length as usize
            && length <= self.max_length as usize
            && (!self.digits_only || secret.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// How a person calls what protects a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// A password.
    Password,
    /// A PIN.
    Pin,
}

impl SecretKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Pin => "pin",
        }
    }
}

/// Where the new file's secret comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewSecret {
    /// The old one protects the new file too, as long as it keeps the rules; else the person is asked for a new one.
    Keep,
    /// The person is asked for a new one, which may be the old.
    Ask,
}

/// A mistake in a programme file, with the place where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgrammeError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for ProgrammeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for ProgrammeError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Source {
    name: Spanned<String>,
    #[serde(rename = "match")]
    matching: Spanned<Vec<Matching>>,
    start: Spanned<Start>,
    key: KeyRule,
    secret: Spanned<SecretRule>,
    authority: Spanned<Authority>,
    mail: Option<MailSource>,
    #[serde(default)]
    install: InstallRule,
    #[serde(default)]
    consumers: Vec<Spanned<Consumer>>,
    #[serde(default)]
    hand: Vec<Spanned<HandStep>>,
    steps: Spanned<Vec<Step>>,
    #[serde(default)]
    expired: Expired,
}

/// What an administrator or a person adds to a programme.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Overlay {
    visiting_card: Option<Spanned<VisitingCard>>,
}

impl Programme {
    /// Reads a programme; `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProgrammeError> {
        let error = |offset: usize, message: String| mistake(file, text, offset, message);
        let source: Source = read(file, text)?;
        let at = |span: std::ops::Range<usize>, message: &str| error(span.start, message.to_owned());

        let name = source.name.get_ref();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(at(source.name.span(), "a name has lower-case letters, digits and hyphens"));
        }
        let secret = source.secret.get_ref();
        if secret.min_length > secret.max_length || secret.max_length > 255 {
            return Err(at(source.secret.span(), "`min-length` ≤ `max-length` ≤ 255 is expected"));
        }
        let roles: Vec<&str> = source.matching.get_ref().iter().map(|rule| rule.role.as_str()).collect();
        if roles.is_empty() || roles.iter().enumerate().any(|(at, role)| role.is_empty() || roles[..at].contains(role)) {
            return Err(at(source.matching.span(), "at least one `[[match]]` is expected, each with a role of its own"));
        }
        if let Some(mistake) = source.authority.get_ref().mistake() {
            return Err(at(source.authority.span(), &mistake.to_string()));
        }
        if matches!(source.authority.get_ref(), Authority::Est(_) | Authority::SignedMail(_)) && roles.len() > 1 {
            return Err(at(
                source.matching.span(),
                "one `[[match]]` is expected: this protocol renews certificates one by one",
            ));
        }
        let steps = source.steps.span();
        let plan = Plan::new(source.steps.into_inner()).map_err(|wrong| error(steps.start, wrong.to_string()))?;
        let at_page = matches!(source.authority.get_ref(), Authority::Web(_));
        if at_page && plan.makes_keys() {
            return Err(error(
                steps.start,
                "`generate-keys` is not expected: `web` leaves the keys to other programs".to_owned(),
            ));
        }
        if !at_page && !plan.makes_keys() || plan.is_adoption() {
            return Err(error(steps.start, "the step `generate-keys` is expected".to_owned()));
        }
        if plan.steps().contains(&Step::Submit) != source.authority.get_ref().takes_requests() {
            return Err(at(
                source.authority.span(),
                "the steps `submit` and `fetch` belong to an authority other than oneself",
            ));
        }
        let mail = source.mail.map(MailSource::check).transpose().map_err(|(offset, message)| error(offset, message))?;
        if *source.start.get_ref() == Start::Auto && source.authority.get_ref().is_elsewhere() {
            return Err(at(source.start.span(), "`auto` is for certificates that are made without an authority"));
        }
        if let Some(consumer) = source.consumers.iter().find(|consumer| !consumer.get_ref().is_sound()) {
            return Err(at(consumer.span(), "`command` begins with the absolute path of a program"));
        }
        if plan.steps().contains(&Step::Register) == source.consumers.is_empty() {
            return Err(error(steps.start, "the step `register` belongs to `[[consumers]]`".to_owned()));
        }
        if let Some(step) = source.hand.iter().find(|step| !step.get_ref().is_sound()) {
            return Err(at(step.span(), "a text in one line, of at most 1000 characters, is expected"));
        }
        if plan.steps().iter().filter(|step| **step == Step::ByHand).count() != source.hand.len() {
            return Err(error(steps.start, "each step `by-hand` belongs to a `[[hand]]`".to_owned()));
        }
        if *source.start.get_ref() == Start::Auto && !source.hand.is_empty() {
            return Err(at(source.start.span(), "`auto` is for renewals that need nobody"));
        }
        Ok(Self {
            mail,
            name: source.name.into_inner(),
            matching: source.matching.into_inner(),
            start: source.start.into_inner(),
            key: source.key,
            secret: source.secret.into_inner(),
            authority: source.authority.into_inner(),
            install: source.install,
            consumers: source.consumers.into_iter().map(Spanned::into_inner).collect(),
            hand: source.hand.into_iter().map(Spanned::into_inner).collect(),
            plan,
            expired: source.expired,
            visiting_cards: Vec::new(),
        })
    }

    /// Adds what an administrator or a person has written to it; `file` names that in errors, `name` what it is about.
    pub fn add(&mut self, file: &str, name: &str, text: &str) -> Result<(), ProgrammeError> {
        let overlay: Overlay = read(file, text)?;
        let Some(card) = overlay.visiting_card else { return Ok(()) };
        let at = |message: &str| mistake(file, text, card.span().start, message.to_owned());
        let asked = self.matching.iter().any(|rule| rule.visiting_card);
        let checked = if asked { card.get_ref().check() } else { Err("this programme asks for no visiting card") };
        checked.map_err(at)?;
        self.visiting_cards.push(VisitingCard { mailbox: name.to_owned(), ..card.get_ref().clone() });
        Ok(())
    }

    /// The role in which it renews certificates like this one; `None`: it does not.
    pub fn role_of(&self, certificate: &Certificate) -> Option<&str> {
        let holds =
            |rule: &&Matching| rule.holds(certificate) && (!rule.visiting_card || self.visiting_card_of(certificate).is_some());
        self.matching.iter().find(holds).map(|rule| rule.role.as_str())
    }

    /// The visiting card of the mailbox to which this certificate belongs.
    pub fn visiting_card_of(&self, certificate: &Certificate) -> Option<&VisitingCard> {
        self.visiting_cards.iter().find(|card| card.is_of(certificate))
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, ProgrammeError> {
    toml::from_str(text).map_err(|failure| {
        mistake(file, text, failure.span().map_or(0, |span| span.start), failure.message().trim().to_owned())
    })
}

fn mistake(file: &str, text: &str, offset: usize, message: String) -> ProgrammeError {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ProgrammeError {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = BUILT_IN[1].1;

    fn mistake(from: &str, to: &str) -> ProgrammeError {
        assert!(GOOD.contains(from), "the text to break is there");
        Programme::parse("x.toml", &GOOD.replacen(from, to, 1)).expect_err("a mistake")
    }

    #[test]
    fn every_built_in_programme_is_read_and_bears_its_file_name() {
        let programmes = built_in().expect("no mistake in a built-in programme");
        assert_eq!(programmes.len(), BUILT_IN.len());
        for (programme, (file, _)) in programmes.iter().zip(BUILT_IN) {
            assert_eq!(format!("{}.toml", programme.name), *file);
        }
    }

    #[test]
    fn a_mistake_is_told_with_line_and_what_is_allowed() {
        let error = mistake("start = \"ask\"", "start = \"later\"");
        let line = GOOD.lines().position(|line| line.starts_with("start")).expect("a line") + 1;
        assert_eq!((error.line, error.column), (line, 9), "{error}");
        assert!(error.message.contains("later") && error.message.contains("ask"), "{error}");

        let error = mistake("digits-only = false", "digits = false");
        assert!(error.message.contains("digits") && error.message.contains("digits-only"), "{error}");

        let error = mistake("\"install\",", "");
        assert!(error.message.contains("`retire-old` needs `install` before it"), "{error}");
        assert!(GOOD.lines().nth(error.line - 1).expect("a line").starts_with("steps"), "{error}");

        let error = mistake("\"install\",", "\"install\", \"register\",");
        assert_eq!(error.message, "the step `register` belongs to `[[consumers]]`");
        let error = mistake("\"install\",", "\"install\", \"by-hand\",");
        assert_eq!(error.message, "each step `by-hand` belongs to a `[[hand]]`");
        let error = mistake("[key]", "[[hand]]\ninstruction = \"a\\nb\"\n[key]");
        assert_eq!(error.message, "a text in one line, of at most 1000 characters, is expected");
        for bad in ["[]", "[\"nginx\"]", "[\"/bin/true\", \"\\u0000\"]"] {
            let error = mistake("[key]", &format!("[[consumers]]\nkind = \"hook\"\ncommand = {bad}\n[key]"));
            assert_eq!(error.message, "`command` begins with the absolute path of a program", "{bad}");
        }
        let auto = GOOD.replacen("\"ask\"", "\"auto\"", 1).replacen(
            "protocol = \"self-signed\"",
            "protocol = \"simulated\"\nvalidity-days = 9\npause = false",
            1,
        );
        let auto = auto.replacen("\"verify\"", "\"submit\", \"fetch\", \"verify\"", 1);
        let error = Programme::parse("x.toml", &auto).expect_err("somebody else issues");
        assert_eq!(error.message, "`auto` is for certificates that are made without an authority");

        assert_eq!(mistake("min-length = 1", "min-length = 300").message, "`min-length` ≤ `max-length` ≤ 255 is expected");
        assert!(Programme::parse("x.toml", "name = ").is_err());
        assert_eq!(Programme::parse("x.toml", "").expect_err("empty").line, 1);
    }

    #[test]
    fn a_visiting_card_makes_a_mailbox_known() {
        let mut programme = Programme::parse("vps-postfach.toml", BUILT_IN[0].1).expect("no mistake");
        programme.add("a.toml", "a", "[visiting-card]\nname = \"Anna\"\norganisation = \"O\"\n").expect("no mistake");
        assert_eq!(programme.visiting_cards[0].attributes(), [("O", "O"), ("CN", "Anna")]);
        assert_eq!(programme.visiting_cards[0].mailbox, "a");
        for (bad, line, said) in [
            ("[visiting-card]\nname = \"\"\n", 1, "1 to 64"),
            ("[visiting-card]\nnames = \"\"\n", 2, "unknown field"),
            ("[card]\n", 1, "unknown field"),
        ] {
            let error = programme.add("a.toml", "a", bad).expect_err("a mistake");
            assert!(error.line == line && error.message.contains(said), "{error}");
        }
        let mut other = Programme::parse("self-signed.toml", GOOD).expect("no mistake");
        let error = other.add("a.toml", "a", "[visiting-card]\nname = \"Anna\"\n").expect_err("a mistake");
        assert_eq!(error.to_string(), "a.toml:1:1: this programme asks for no visiting card");
    }

    #[test]
    fn rules_for_a_new_secret() {
        let rule = SecretRule { kind: SecretKind::Pin, min_length: 4, max_length: 8, digits_only: true, new: NewSecret::Ask };
        for (secret, fine) in
            [("1234", true), ("12345678", true), ("123", false), ("123456789", false), ("12a4", false), ("１２３４", false)]
        {
            assert_eq!(rule.permits(secret), fine, "{secret}");
        }
    }

    /// A mistake stands in the text; that of a text that ends too early, where it ends.
    fn assert_in_text(text: &str) {
        if let Err(error) = Programme::parse("x.toml", text) {
            let line = text.split('\n').nth(error.line.checked_sub(1).expect("lines count from 1"));
            let line = line.expect("the line is in the text");
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{error} in {text:?}");
            assert!(!error.message.is_empty(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            assert_in_text(&text);
        }

        #[test]
        fn no_toml_panics(lines in proptest::collection::vec("[a-z.-]{1,12} = (-?[0-9]{1,22}|\"[^\"]{0,9}\"|\\[\"é\", 1]|true|1e9|\\{ a = 1 \\})|\\[[a-z-]{1,9}\\]|#.*", 0..12)) {
            assert_in_text(&lines.join("\n"));
        }

        #[test]
        fn no_damage_panics(
            changes in proptest::collection::vec((0..GOOD.len(), 0_usize..30, prop_oneof![Just(String::new()), ".{0,6}", "-?[0-9]{1,20}", "[\\[\\]{}=\",.#\n]{1,3}"]), 1..4)
        ) {
            let mut text: Vec<char> = GOOD.chars().collect();
            for (from, length, to) in changes {
                let from = from.min(text.len());
                let end = (from + length).min(text.len());
                text.splice(from..end, to.chars());
            }
            assert_in_text(&text.into_iter().collect::<String>());
        }
    }
}
