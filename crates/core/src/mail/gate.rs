//! The gate that a mail passes: whether its authority wrote it, unchanged, and what about. Owns the conditions of trust; to whose
//! certificate it belongs is the letter's.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::letter::Content;
use super::link::{self, Judged};
use super::rules::{LetterRule, MailRules, SerialBase};
use super::{Algorithm, Dmarc, Facts, Header, Heads, Kind, Letter, Letters, Link, Outcome, Seal, Signature, Stamp};
use crate::Programme;

/// How far the date of a mail may lie from its arrival.
const FRESH: Duration = Duration::days(3);

/// The shortest RSA key whose signatures count (RFC 8301 section 3.2).
const SHORTEST_RSA: u32 = 1024;

/// How many reasons are kept: an attacker could give many.
const MOST_REASONS: usize = 12;

/// Whether a mail may be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The authority wrote it.
    Trusted,
    /// It may be honest; nothing shows it.
    Doubtful(Vec<Reason>),
    /// Somebody means to deceive.
    Forged(Vec<Reason>),
}

impl Standing {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Doubtful(_) => "doubtful",
            Self::Forged(_) => "forged",
        }
    }

    /// Why it is not trusted.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Trusted => &[],
            Self::Doubtful(reasons) | Self::Forged(reasons) => reasons,
        }
    }

    /// The standing that these reasons make.
    pub(super) fn of(mut reasons: Vec<Reason>) -> Self {
        let forged = reasons.iter().any(|reason| reason.why.is_forgery());
        // What weighs most stands first.
        reasons.sort_by_key(|reason| !reason.why.is_forgery());
        reasons.dedup();
        reasons.truncate(MOST_REASONS);
        match (reasons.is_empty(), forged) {
            (true, _) => Self::Trusted,
            (false, false) => Self::Doubtful(reasons),
            (false, true) => Self::Forged(reasons),
        }
    }
}

/// Why a mail is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The kind of reason.
    pub why: Why,
    /// What it is about: a header, a domain, a host; empty where there is nothing to name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The domain in From wants such mail quarantined or rejected.
    PolicyBroken,
    /// A link leads to a host that looks like the authority's.
    LinkImitates,
    /// It is not from an address on the list.
    SenderUnlisted,
    /// It names several senders.
    SeveralSenders,
    /// Nothing signs it.
    Unsigned,
    /// The signature does not fit what came.
    SignatureBroken,
    /// Nobody could be asked for the key or the policy: worth another try.
    Unresolved,
    /// Somebody signs who is not on the list, or not the sender.
    SignatureForeign,
    /// The signature is too weak, covers but a part, or is a trial.
    SignatureWeak,
    /// The signature does not cover this header.
    HeaderUnsigned,
    /// This header stands in it twice.
    HeaderTwice,
    /// This header is missing.
    HeaderMissing,
    /// The key of the signature is another one than before.
    KeyChanged,
    /// Whoever signed it with S/MIME is not on the list, or not the sender.
    SignerUnknown,
    /// Its date is not that of its arrival.
    DateOff,
    /// The same has come before, as another mail.
    Replayed,
    /// It is not made as mails are.
    Malformed,
    /// A link shows another address than the one it leads to.
    LinkDiffers,
    /// A link has something about it that may lead elsewhere.
    LinkUnsafe,
    /// It is not addressed to the holder of the certificate.
    NotAddressed,
    /// Nothing waits for it.
    Unawaited,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::PolicyBroken,
        Self::LinkImitates,
        Self::SenderUnlisted,
        Self::SeveralSenders,
        Self::Unsigned,
        Self::SignatureBroken,
        Self::Unresolved,
        Self::SignatureForeign,
        Self::SignatureWeak,
        Self::HeaderUnsigned,
        Self::HeaderTwice,
        Self::HeaderMissing,
        Self::KeyChanged,
        Self::SignerUnknown,
        Self::DateOff,
        Self::Replayed,
        Self::Malformed,
        Self::LinkDiffers,
        Self::LinkUnsafe,
        Self::NotAddressed,
        Self::Unawaited,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyBroken => "policy-broken",
            Self::LinkImitates => "link-imitates",
            Self::SenderUnlisted => "sender-unlisted",
            Self::SeveralSenders => "several-senders",
            Self::Unsigned => "unsigned",
            Self::SignatureBroken => "signature-broken",
            Self::Unresolved => "unresolved",
            Self::SignatureForeign => "signature-foreign",
            Self::SignatureWeak => "signature-weak",
            Self::HeaderUnsigned => "header-unsigned",
            Self::HeaderTwice => "header-twice",
            Self::HeaderMissing => "header-missing",
            Self::KeyChanged => "key-changed",
            Self::SignerUnknown => "signer-unknown",
            Self::DateOff => "date-off",
            Self::Replayed => "replayed",
            Self::Malformed => "malformed",
            Self::LinkDiffers => "link-differs",
            Self::LinkUnsafe => "link-unsafe",
            Self::NotAddressed => "not-addressed",
            Self::Unawaited => "unawaited",
        }
    }

    /// Whether it shows that somebody means to deceive.
    fn is_forgery(self) -> bool {
        matches!(self, Self::PolicyBroken | Self::LinkImitates)
    }

    /// This reason, about something.
    pub(super) fn about(self, about: &str) -> Reason {
        // What an attacker wrote is kept short.
        Reason { why: self, about: about.chars().take(100).collect() }
    }

    fn alone(self) -> Reason {
        self.about("")
    }
}

/// Judges a mail by a programme's rules; `None`: it is no concern of this programme's, and nothing of it is kept.
///
/// `past`: the letters that came before. `servers`: those whose Authentication-Results the person has named as trusted.
pub fn judge(facts: &Facts, programme: &Programme, past: &Letters, servers: &[String]) -> Option<Letter> {
    let rules = programme.mail.as_ref()?;
    let pinned = facts.seal.as_ref().filter(|seal| rules.signers.contains(&seal.signer));
    let heads = heads(facts, pinned);
    let rule = rules.letters.iter().find(|rule| fits(rule, heads, &facts.text, facts.seal.is_some()));
    let own = |address: &String| rules.from.contains(address);
    if rule.is_none() && !facts.heads.from.iter().any(own) && pinned.is_none() {
        return None;
    }
    let (link, mut reasons) = links(facts, rules, rule);
    let (keys, faults) = authenticity(facts, rules, pinned, past, servers);
    reasons.extend(faults);
    if past.is_replayed(facts) {
        reasons.push(Why::Replayed.alone());
    }
    reasons.extend(facts.malformed.as_deref().map(|detail| Why::Malformed.about(detail)));
    let standing = Standing::of(reasons);
    let trusted = standing == Standing::Trusted;
    Some(Letter {
        digest: facts.digest,
        body: facts.body,
        message_id: facts.heads.message_id.clone(),
        programme: programme.name.clone(),
        kind: rule.map_or(Kind::Other, |rule| rule.kind),
        standing,
        sender: facts.heads.from.first().cloned().unwrap_or_default(),
        date: date(facts, pinned),
        arrived: facts.arrived,
        content: Content {
            to: addressees(facts, pinned),
            sealed: facts.seal.is_some(),
            serial: rule.and_then(|rule| serial(rule, &facts.text)),
            link: link.filter(|_| trusted),
        },
        keys: if trusted { keys } else { Vec::new() },
    })
}

/// The headers that may be believed if the signature may: within S/MIME the inner ones.
fn heads<'a>(facts: &'a Facts, pinned: Option<&'a Seal>) -> &'a Heads {
    pinned.and_then(|seal| seal.protected.as_ref()).unwrap_or(&facts.heads)
}

/// To whom it is. An S/MIME signature that covers no headers covers the addresses in the text.
fn addressees(facts: &Facts, pinned: Option<&Seal>) -> Vec<String> {
    let mut addresses = match pinned {
        Some(Seal { protected: None, .. }) => addresses_in(&facts.text),
        _ => heads(facts, pinned).to.clone(),
    };
    addresses.truncate(Letter::MOST_ADDRESSES);
    addresses
}

fn addresses_in(text: &str) -> Vec<String> {
    let apart = |letter: char| letter.is_whitespace() || "<>()[]{}\"',;:".contains(letter);
    let words = text.split(apart).map(|word| word.trim_matches('.').to_lowercase());
    words
        .filter(|word| {
            word.len() <= 254 && word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
        })
        .collect()
}

fn date(facts: &Facts, pinned: Option<&Seal>) -> Option<DateTime<Utc>> {
    match pinned {
        Some(seal) => seal.signed_at.or(seal.protected.as_ref().and_then(|heads| heads.date)),
        None => facts.heads.date,
    }
}

/// Whether a rule tells this mail. A subject that no signature can cover tells nothing.
fn fits(rule: &LetterRule, heads: &Heads, text: &str, sealed: bool) -> bool {
    let any = |words: &[String], text: &str| {
        let text = folded(text);
        words.iter().any(|words| text.contains(&folded(words)))
    };
    let subject = heads.subject.as_deref().unwrap_or_default();
    let by_text = !rule.text.is_empty() && any(&rule.text, text);
    match (rule.subject.is_empty(), rule.text.is_empty()) {
        // Outside of what S/MIME signs, where only the text may tell.
        (false, false) if sealed => by_text,
        (false, false) => by_text && any(&rule.subject, subject),
        (false, true) => any(&rule.subject, subject),
        (true, _) => by_text,
    }
}

/// A text for comparison: in lower case, each stretch of white space as one space.
pub(super) fn folded(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == '\u{ad}' || letter == '\u{200b}');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// The link that may be offered, and what is wrong with the links.
fn links(facts: &Facts, rules: &MailRules, rule: Option<&LetterRule>) -> (Option<String>, Vec<Reason>) {
    let prefixes = rule.map(|rule| &rule.links).filter(|links| !links.is_empty()).unwrap_or(&rules.links);
    let mut reasons = Vec::new();
    let mut listed: Vec<(usize, String)> = Vec::new();
    for Link { text, target } in &facts.links {
        match link::judge(target, prefixes, &rules.domains) {
            Judged::Listed(link, prefix) => listed.push((prefix, link)),
            Judged::Unsafe => reasons.push(Why::LinkUnsafe.alone()),
            Judged::Imitates(host) => reasons.push(Why::LinkImitates.about(&host)),
            Judged::Elsewhere => {}
        }
        if let (Some(shown), Some(host)) = (link::host_in(text), link::host_in(target))
            && !link::is_at_or_below(&shown, &host)
            && !link::is_at_or_below(&host, &shown)
        {
            reasons.push(Why::LinkDiffers.about(&host));
        }
    }
    listed.sort();
    listed.dedup();
    // Of the first prefix that any link has; of two such links none can be said to be meant.
    let first = listed.first().map(|(prefix, _)| *prefix);
    let mut meant = listed.into_iter().filter(|(prefix, _)| Some(*prefix) == first).map(|(_, link)| link);
    let link = meant.next().filter(|_| meant.next().is_none());
    (link, reasons)
}

/// Which keys signed it, and what is missing for it to be the authority's.
fn authenticity(
    facts: &Facts,
    rules: &MailRules,
    pinned: Option<&Seal>,
    past: &Letters,
    servers: &[String],
) -> (Vec<(String, crate::Fingerprint)>, Vec<Reason>) {
    let stamp = facts.stamp.as_ref().filter(|stamp| servers.contains(&stamp.server));
    let mut reasons = Vec::new();
    match facts.dmarc {
        Dmarc::Refused if !stamp.is_some_and(|stamp| stamp.dmarc_passed) => reasons.push(Why::PolicyBroken.alone()),
        Dmarc::Unresolved => reasons.push(Why::Unresolved.alone()),
        _ => {}
    }
    match facts.heads.from.as_slice() {
        [] => reasons.push(Why::HeaderMissing.about(Header::From.as_str())),
        [from] if !rules.from.contains(from) => reasons.push(Why::SenderUnlisted.about(from)),
        [_] => {}
        _ => reasons.push(Why::SeveralSenders.alone()),
    }
    let twice = facts.counts.iter().filter(|(_, count)| *count > 1);
    reasons.extend(twice.map(|(header, _)| Why::HeaderTwice.about(header.as_str())));
    match date(facts, pinned) {
        None => reasons.push(Why::HeaderMissing.about(Header::Date.as_str())),
        Some(date) if (date - facts.arrived).abs() > FRESH => reasons.push(Why::DateOff.alone()),
        Some(_) => {}
    }
    if let Some(seal) = &facts.seal {
        // What DKIM would say of the outside is no word about the inside.
        reasons.extend(faults_of_seal(facts, seal, pinned.is_some()));
        return (Vec::new(), reasons);
    }
    if facts.heads.message_id.is_none() {
        reasons.push(Why::HeaderMissing.about(Header::MessageId.as_str()));
    }
    let judged = facts.signatures.iter().map(|signature| (signature, faults_of(signature, facts, rules, past, stamp)));
    let Some((signature, faults)) = judged.min_by_key(|(_, faults)| faults.len()) else {
        reasons.push(Why::Unsigned.alone());
        return (Vec::new(), reasons);
    };
    reasons.extend(faults);
    // A mailing house that signs beside the authority is on the list; who else adds a signature has had it in hand.
    let strangers = facts.signatures.iter().filter(|other| !rules.domains.contains(&other.domain));
    reasons.extend(strangers.map(|other| Why::SignatureForeign.about(&other.domain)));
    let named = |key| (key_name(signature), key);
    (signature.key.map(named).into_iter().collect(), reasons)
}

/// What keeps one DKIM signature from vouching for the mail.
fn faults_of(signature: &Signature, facts: &Facts, rules: &MailRules, past: &Letters, stamp: Option<&Stamp>) -> Vec<Reason> {
    let Signature { domain, selector, .. } = signature;
    let mut faults = Vec::new();
    let stamped = stamp.is_some_and(|stamp| {
        let same =
            |(other, name): &(String, Option<String>)| other == domain && name.as_ref().is_none_or(|name| name == selector);
        stamp.passed.iter().any(same)
    });
    match signature.outcome {
        Outcome::Broken if !stamped => faults.push(Why::SignatureBroken.about(domain)),
        Outcome::Unresolved if !stamped => faults.push(Why::Unresolved.about(domain)),
        _ => {}
    }
    let from = facts.heads.from.first().and_then(|from| from.rsplit_once('@')).map_or("", |(_, domain)| domain);
    if !rules.domains.contains(domain) || !is_aligned(from, domain) {
        faults.push(Why::SignatureForeign.about(domain));
    }
    let strong = match signature.algorithm {
        // The size is that of a key that was found; a server that vouches has found one.
        Algorithm::RsaSha256(bits) => bits >= SHORTEST_RSA || (stamped && signature.key.is_none()),
        Algorithm::Ed25519 => true,
        Algorithm::Other => false,
    };
    if !strong || signature.partial || signature.testing {
        faults.push(Why::SignatureWeak.about(domain));
    }
    for header in Header::ALL {
        let there = facts.counts.iter().any(|(other, count)| *other == header && *count > 0);
        let covered = signature.covers.iter().any(|name| name == header.as_str());
        if !covered && (there || header.is_always_signed()) {
            faults.push(Why::HeaderUnsigned.about(header.as_str()));
        }
    }
    if let Some(key) = signature.key
        && past.knows_other_key(&key_name(signature), key)
    {
        faults.push(Why::KeyChanged.about(selector));
    }
    faults
}

/// Under what name a key is remembered.
fn key_name(signature: &Signature) -> String {
    format!("{}.{}", signature.selector, signature.domain)
}

/// What keeps an S/MIME signature from vouching for the mail.
fn faults_of_seal(facts: &Facts, seal: &Seal, pinned: bool) -> Vec<Reason> {
    let mut faults = Vec::new();
    if !seal.valid {
        faults.push(Why::SignatureBroken.alone());
    }
    let sender = facts.heads.from.first();
    let inside = seal.protected.as_ref().map(|heads| heads.from.as_slice());
    let same = inside.is_none_or(|inside| inside == facts.heads.from.as_slice());
    if !pinned || !same || sender.is_none_or(|sender| !seal.addresses.contains(sender)) {
        faults.push(Why::SignerUnknown.alone());
    }
    faults
}

/// Whether a domain that signs is the sender's: the same, or one above or below it.
pub(super) fn is_aligned(from: &str, domain: &str) -> bool {
    !from.is_empty() && (link::is_at_or_below(from, domain) || link::is_at_or_below(domain, from))
}

/// The serial number that stands behind the words of a rule, as certificates show it: lower-case hex without leading zeros.
fn serial(rule: &LetterRule, text: &str) -> Option<String> {
    let text = folded(text);
    rule.serial_after.iter().find_map(|words| {
        let rest = &text[text.find(&folded(words))? + folded(words).len()..];
        let rest = rest.trim_start_matches(|letter: char| letter == ':' || letter.is_whitespace());
        match rule.serial_base {
            SerialBase::Hex => hex_serial(rest),
            SerialBase::Decimal => decimal_serial(rest),
        }
    })
}

/// The longest serial number in bytes (RFC 5280 section 4.1.2.2).
const LONGEST_SERIAL: usize = 20;

fn hex_serial(text: &str) -> Option<String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut digits = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            digit if digit.is_ascii_hexdigit() => digits.push(digit),
            // Digits are often written in pairs.
            ':' if letters.peek().is_some_and(char::is_ascii_hexdigit) => {}
            letter if letter.is_alphanumeric() => return None,
            _ => break,
        }
    }
    let digits = digits.trim_start_matches('0');
    // As certificates show it: whole bytes.
    let whole = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    (!whole.is_empty() && whole.len() <= 2 * LONGEST_SERIAL + 2).then_some(whole)
}

fn decimal_serial(text: &str) -> Option<String> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || digits.len() > 49 || rest.starts_with(char::is_alphanumeric) {
        return None;
    }
    // Base 10 to base 256, the lowest byte first.
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push((carry & 0xff) as u8);
        }
    }
    bytes.reverse();
    (!bytes.is_empty()).then(|| crate::certificate::hex(&bytes))
}
