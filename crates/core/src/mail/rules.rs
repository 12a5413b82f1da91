//! What a programme says about its authority's mails: who writes, what signs, which links may be opened, and what tells the kinds
//! apart. Owns the shape of that part of the programme's file and its checks.

use serde::Deserialize;
use toml::Spanned;

use super::link::Prefix;
use super::{Kind, gate};
use crate::certificate::Fingerprint;
use crate::programme::NoMailAddress;

/// A programme's rules for mails.
#[derive(Clone, Debug, PartialEq)]
pub struct MailRules {
    /// The full addresses from which the authority writes, in lower case.
    pub from: Vec<String>,
    /// The domains that sign its mails (DKIM's `d=`), in lower case. One that is not the sender's, such as a mailing house's, may
    /// sign beside it, but vouches for nothing.
    pub domains: Vec<String>,
    /// The keys that sign its mails with S/MIME: SHA-256 of the `SubjectPublicKeyInfo`.
    pub signers: Vec<Fingerprint>,
    /// What links must begin with to be opened; the first that fits a link of a mail decides which one is offered.
    pub links: Vec<Prefix>,
    /// How many minutes after an order a mail comes at the latest.
    pub within_minutes: Option<u32>,
    /// What tells the kinds apart; the first that fits decides.
    pub letters: Vec<LetterRule>,
}

/// What tells a kind of mail.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterRule {
    /// The kind.
    pub kind: Kind,
    /// One of these stands in the subject; nothing: any subject.
    pub subject: Vec<String>,
    /// One of these stands in the text; nothing: any text.
    pub text: Vec<String>,
    /// The certificate's serial number stands behind one of these in the text.
    pub serial_after: Vec<String>,
    /// How that number is written.
    pub serial_base: SerialBase,
    /// What links in mails of this kind must begin with; nothing: as the programme says.
    pub links: Vec<Prefix>,
}

/// How a serial number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialBase {
    /// In hexadecimal digits.
    #[default]
    Hex,
    /// In decimal digits.
    Decimal,
}

/// The table `[mail]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MailSource {
    from: Vec<Spanned<String>>,
    #[serde(default)]
    domains: Vec<Spanned<String>>,
    #[serde(default)]
    signers: Vec<Spanned<String>>,
    #[serde(default)]
    links: Vec<Spanned<String>>,
    within_minutes: Option<Spanned<u32>>,
    letters: Vec<Spanned<LetterSource>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LetterSource {
    kind: Spanned<Kind>,
    #[serde(default)]
    subject: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    #[serde(default)]
    serial_after: Vec<String>,
    #[serde(default)]
    serial_base: SerialBase,
    #[serde(default)]
    links: Vec<Spanned<String>>,
}

/// A mistake: where it stands in the file, and what is allowed.
type Mistake = (usize, String);

/// The shortest words by which a mail may be told: shorter ones stand in too many.
const SHORTEST_WORDS: usize = 4;

impl MailSource {
    /// The rules, if they can hold.
    pub(crate) fn check(self) -> Result<MailRules, Mistake> {
        let from = self.from.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let domains = self.domains.iter().map(domain).collect::<Result<Vec<_>, _>>()?;
        let signers = self.signers.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        if signers.is_empty() {
            for (address, written) in from.iter().zip(&self.from) {
                let own = address.rsplit('@').next().unwrap_or_default();
                if !domains.iter().any(|domain| gate::is_aligned(own, domain)) {
                    return Err((written.span().start, format!("one of `domains` is expected to be `{own}` or above it")));
                }
            }
        }
        if let Some(minutes) = &self.within_minutes
            && !(1..=10_080).contains(minutes.get_ref())
        {
            return Err((minutes.span().start, "`within-minutes` is expected to be between 1 and 10080".to_owned()));
        }
        let letters = self.letters.into_iter().map(LetterSource::check).collect::<Result<Vec<_>, _>>()?;
        Ok(MailRules {
            from,
            domains,
            signers,
            links: prefixes(&self.links)?,
            within_minutes: self.within_minutes.map(Spanned::into_inner),
            letters,
        })
    }
}

impl LetterSource {
    fn check(written: Spanned<Self>) -> Result<LetterRule, Mistake> {
        let at = written.span().start;
        let source = written.into_inner();
        if *source.kind.get_ref() == Kind::Other {
            return Err((source.kind.span().start, "what no rule fits is of the kind `other` by itself".to_owned()));
        }
        let words = || source.subject.iter().chain(&source.text);
        if words().next().is_none() || words().any(|words| gate::folded(words).chars().count() < SHORTEST_WORDS) {
            return Err((
                at,
                format!("`subject` or `text` is expected, each with words of at least {SHORTEST_WORDS} characters"),
            ));
        }
        if source.serial_after.iter().any(|words| gate::folded(words).is_empty()) {
            return Err((at, "`serial-after` is expected to name the words in front of the number".to_owned()));
        }
        Ok(LetterRule {
            kind: source.kind.into_inner(),
            links: prefixes(&source.links)?,
            subject: source.subject,
            text: source.text,
            serial_after: source.serial_after,
            serial_base: source.serial_base,
        })
    }
}

fn address(written: &Spanned<String>) -> Result<String, Mistake> {
    let text = written.get_ref();
    if is_address(text) { Ok(text.clone()) } else { Err((written.span().start, NoMailAddress.to_string())) }
}

/// Whether this is a full address, in lower case.
pub(crate) fn is_address(text: &str) -> bool {
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@<>,;\"()".contains(&byte));
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| plain(local) && is_domain(domain)) && *text == text.to_ascii_lowercase()
}

fn domain(written: &Spanned<String>) -> Result<String, Mistake> {
    let text = written.get_ref();
    if is_domain(text) {
        Ok(text.clone())
    } else {
        Err((written.span().start, "a domain in lower case is expected, other scripts as `xn--…`".to_owned()))
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(fine)
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(label)
}

fn digest(written: &Spanned<String>) -> Result<Fingerprint, Mistake> {
    let failed = |error: crate::certificate::NoFingerprint| (written.span().start, format!("{error}"));
    Fingerprint::try_from(written.get_ref().clone()).map_err(failed)
}

fn prefixes(written: &[Spanned<String>]) -> Result<Vec<Prefix>, Mistake> {
    let prefix = |text: &Spanned<String>| {
        Prefix::parse(text.get_ref()).ok_or_else(|| {
            (text.span().start, "host and beginning of the path are expected, as `https://www.example.org/renew/`".to_owned())
        })
    };
    written.iter().map(prefix).collect()
}
