//! DKIM and DMARC: verifies what a mail's signatures say and what its domain has published. All questions are asked here first, a
//! bounded number of them; what verifies then is given the answers and asks nobody.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use mail_auth::common::cache::NoCache;
use mail_auth::common::crypto::Algorithm as Signing;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, DnsError, Error, MX, Parameters, RecordSet, ResolverCache,
    SpfOutput, Txt, dkim, dmarc,
};
use mail_parser::HeaderName;
use obnova_core::Fingerprint;
use obnova_core::mail::{Algorithm, Dmarc, Header, Outcome, Signature};

use super::resolver::{Resolver, Unanswered};
use super::{count, kind_of};

/// How many signatures are looked at: each costs a question.
const MOST: usize = 8;

/// The most labels of a domain whose policies are asked for (RFC 9989 section 4.10).
const MOST_LABELS: usize = 8;

/// Those of [`Header::ALL`] that whoever verifies signatures sees, and how often.
pub(super) fn counts(signed: &AuthenticatedMessage<'_>) -> Vec<(Header, u32)> {
    let names = signed.headers.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok());
    count(names.filter_map(|name| kind_of(&HeaderName::parse(name.trim())?)))
}

/// Verifies the signatures of a mail, and whether it fulfils what its domain has published.
pub(super) async fn verify(signed: &AuthenticatedMessage<'_>, resolver: &Resolver) -> (Vec<Signature>, Dmarc) {
    let mut signed = signed.clone();
    signed.dkim_headers.truncate(MOST);
    // What cannot be understood is reported by itself, without a signature: it is one that is broken.
    let unreadable = signed.errors.iter().filter(|header| header.name.eq_ignore_ascii_case(b"dkim-signature"));
    let unreadable = unreadable.count().min(MOST);
    signed.errors.clear();
    let answers = Answers::gather(&signed, resolver).await;
    let Some(authenticator) = resolver.verifier() else { return (Vec::new(), Dmarc::Unresolved) };
    let outputs = authenticator.verify_dkim(answers.parameters(&signed)).await;
    let mut signatures: Vec<Signature> = signed
        .dkim_headers
        .iter()
        .zip(&outputs)
        .map(|(header, output)| signature(&header.header, header.value, output, &answers))
        .collect();
    signatures.extend(std::iter::repeat_n(broken(), unreadable));
    // The envelope is unknown here, so that SPF cannot count.
    let spf = SpfOutput::default();
    let parameters = DmarcParameters::new(&signed, &outputs, "", &spf);
    let judged = authenticator.verify_dmarc(answers.parameters(parameters)).await;
    let dmarc = match (judged.dkim_result(), judged.policy()) {
        // Without a record nothing is claimed.
        _ if judged.dmarc_record().is_none() && !matches!(judged.dkim_result(), DmarcResult::TempError(_)) => Dmarc::None,
        (DmarcResult::Pass, _) => Dmarc::Pass,
        (DmarcResult::TempError(_), _) => Dmarc::Unresolved,
        (_, Policy::Quarantine | Policy::Reject) => Dmarc::Refused,
        _ => Dmarc::Fail,
    };
    (signatures, dmarc)
}

fn signature(signature: &dkim::Signature, value: &[u8], output: &DkimOutput<'_>, answers: &Answers) -> Signature {
    let name = key_name(signature);
    let key = answers.key(&name);
    let outcome = match output.result() {
        DkimResult::Pass => Outcome::Pass,
        DkimResult::TempError(_) => Outcome::Unresolved,
        _ => Outcome::Broken,
    };
    let bits = key.map_or(0, |key| u32::try_from(key.bits).unwrap_or(u32::MAX));
    Signature {
        domain: signature.d.to_lowercase(),
        selector: signature.s.to_lowercase(),
        outcome,
        algorithm: match signature.a {
            Signing::RsaSha256 => Algorithm::RsaSha256(bits),
            Signing::Ed25519Sha256 => Algorithm::Ed25519,
            Signing::RsaSha1 => Algorithm::Other,
        },
        covers: signature.h.iter().map(|name| name.trim().to_lowercase()).collect(),
        partial: signature.l != 0 || tag(&String::from_utf8_lossy(value), "l").is_some(),
        testing: key.is_some_and(|key| key.testing),
        key: key.map(|key| key.digest),
    }
}

/// A signature of which nothing can be said.
fn broken() -> Signature {
    Signature {
        domain: String::new(),
        selector: String::new(),
        outcome: Outcome::Broken,
        algorithm: Algorithm::Other,
        covers: Vec::new(),
        partial: false,
        testing: false,
        key: None,
    }
}

fn key_name(signature: &dkim::Signature) -> String {
    format!("{}._domainkey.{}", signature.s, signature.d).to_lowercase()
}

/// The value of a tag in a list of them (RFC 6376 section 3.2).
fn tag<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.split(';').find_map(|tag| {
        let (key, value) = tag.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// What the domain name system says about a mail.
#[derive(Default)]
struct Answers {
    texts: HashMap<String, Txt>,
    keys: HashMap<String, Key>,
}

/// A key that signs mails, as it is published.
struct Key {
    bits: usize,
    testing: bool,
    digest: Fingerprint,
}

impl Answers {
    /// Asks all that may be asked about a mail.
    async fn gather(signed: &AuthenticatedMessage<'_>, resolver: &Resolver) -> Self {
        let mut answers = Self::default();
        let mut domains: Vec<String> = Vec::new();
        for header in &signed.dkim_headers {
            let name = key_name(&header.header);
            domains.push(header.header.d.to_lowercase());
            if !answers.texts.contains_key(&name) {
                answers.ask_key(name, resolver).await;
            }
        }
        let senders = signed.from.iter().filter_map(|from| from.rsplit_once('@')).take(MOST);
        domains.extend(senders.map(|(_, domain)| mail_auth::common::to_a_label(domain).into_owned()));
        for domain in domains {
            let labels: Vec<&str> = domain.split('.').filter(|label| !label.is_empty()).collect();
            let above = (0..labels.len()).filter(|at| *at == 0 || labels.len() - at < MOST_LABELS);
            for name in above.map(|at| format!("_dmarc.{}", labels[at..].join("."))) {
                if answers.texts.contains_key(&name) {
                    continue;
                }
                let found = resolver.texts(&name).await;
                answers.texts.insert(name, first(found, |text| dmarc::Dmarc::parse(text).map(Txt::from)));
            }
        }
        answers
    }

    async fn ask_key(&mut self, name: String, resolver: &Resolver) {
        let found = resolver.texts(&name).await;
        let mut published = None;
        let text = first(found, |text| {
            let key = DomainKey::parse(text)?;
            let written = String::from_utf8_lossy(text).into_owned();
            let value: String = tag(&written, "p").unwrap_or_default().split_whitespace().collect();
            published = Some(Key {
                bits: key.p.public_key_bits(),
                testing: tag(&written, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y")),
                digest: Fingerprint::of(value.as_bytes()),
            });
            Ok(Txt::from(key))
        });
        if let Some(key) = published {
            self.keys.insert(name.clone(), key);
        }
        self.texts.insert(name, text);
    }

    fn key(&self, name: &str) -> Option<&Key> {
        self.keys.get(name)
    }

    /// What is to be verified, together with the answers.
    fn parameters<P>(&self, params: P) -> Given<'_, P> {
        Parameters { params, cache_txt: Some(self), cache_mx: None, cache_ptr: None, cache_ipv4: Some(self), cache_ipv6: None }
    }
}

type Given<'x, P> = Parameters<
    'x,
    P,
    Answers,
    NoCache<Box<str>, RecordSet<MX>>,
    Answers,
    NoCache<Box<str>, RecordSet<Ipv6Addr>>,
    NoCache<IpAddr, RecordSet<Box<str>>>,
>;

/// The first text that is one of those that are looked for.
fn first(found: Result<Vec<Vec<u8>>, Unanswered>, mut read: impl FnMut(&[u8]) -> mail_auth::Result<Txt>) -> Txt {
    match found {
        Err(Unanswered(detail)) => Txt::Error(Error::Dns(DnsError::Resolver(detail))),
        Ok(texts) if texts.is_empty() => Txt::Error(nothing()),
        Ok(texts) => {
            let mut last = nothing();
            for text in &texts {
                match read(text) {
                    Ok(text) => return text,
                    Err(error) => last = error,
                }
            }
            Txt::Error(last)
        }
    }
}

fn nothing() -> Error {
    Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain))
}

/// Has an answer to every question: that there is nothing, to those that were not foreseen.
impl ResolverCache<Box<str>, Txt> for Answers {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        // The name comes as whatever a boxed text can be borrowed as; it is looked for by comparing, among a few dozen.
        let found = self.texts.iter().find(|(own, _)| {
            let own: Box<str> = format!("{own}.").into();
            <Box<str> as Borrow<Q>>::borrow(&own) == name
        });
        Some(found.map_or_else(|| Txt::Error(nothing()), |(_, text)| text.clone()))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// A domain that sends mail is taken to exist.
impl ResolverCache<Box<str>, RecordSet<Ipv4Addr>> for Answers {
    fn get<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(RecordSet { rrset: [].into(), dnssec_status: mail_auth::DnssecStatus::Indeterminate })
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv4Addr>, _: Instant) {}
}
