//! Finds out what became of a certificate: by the chain above it, by asking its issuer (OCSP), or by the issuer's list of revoked ones.
//! obnova-courier goes to the addresses, obnova-helper judges what comes back; nothing counts that the issuer's key does not prove. What
//! follows from it is core's.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::certificate::Sources;
use obnova_core::revocation::{Finding, Reach, Way, Why};
use tokio::sync::Mutex;

use crate::authorities::answers;
use crate::companions::Bytes;
use crate::courier::Courier;
use crate::courier::protocol::{Source, Within};
use crate::helper::{Helper, HelperError, Traced};

mod rounds;

pub(crate) use rounds::{above, rounds};

/// The longest answer of an OCSP responder, and the longest file with an issuer's certificates, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest list of revoked certificates in bytes: as much as a frame to a companion takes, in base64 and with what stands beside it.
/// Longer lists are those of authorities that are better asked by OCSP, which is done first.
const LONGEST_LIST: usize = 2560 * 1024;

/// How many seconds a server has for a short answer, and for a list.
const SHORT: u32 = 10;
const LONG: u32 = 30;

/// The longest request that is put into an address instead (RFC 6960 appendix A.1), in characters of the whole.
const LONGEST_ADDRESS: usize = 255;

/// How many certificates above one are fetched at most.
const HIGHEST: usize = 4;

/// The most certificates of which a chain is made.
const MOST_LINKS: usize = 64;

/// Who finds out. Cheap to clone; of all clones together, one is at the network at a time.
#[derive(Clone, Debug)]
pub struct Examiner {
    helper: Helper,
    courier: Courier,
    /// Addresses in certificates may lead to the local network and to this machine.
    local: bool,
    turn: Arc<Mutex<()>>,
}

/// A certificate, and what its chain may be made of.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The certificate (DER).
    pub certificate: &'a [u8],
    /// Certificates that may be above it (DER).
    pub links: Vec<Vec<u8>>,
    /// Those that are trusted (DER), besides those of the machine.
    pub anchors: Vec<Vec<u8>>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What was found out.
#[derive(Debug)]
pub struct Examined {
    /// The chain above it.
    pub traced: Traced,
    /// What its issuer says, or why nothing is known.
    pub standing: Result<(Finding, Way), Why>,
    /// The certificates of that chain that were fetched for it (DER).
    pub fetched: Vec<Vec<u8>>,
}

/// What is kept while several certificates are looked at one after the other.
#[derive(Debug, Default)]
pub struct Round {
    /// The list that was fetched last, and from where.
    list: Option<(String, Vec<u8>)>,
    /// The addresses that led to nothing.
    in_vain: Vec<(String, Why)>,
}

impl Examiner {
    /// One who goes out with these. `local`: also to the local network and to this machine.
    pub fn new(helper: Helper, courier: Courier, local: bool) -> Self {
        Self { helper, courier, local, turn: Arc::default() }
    }

    /// Finds out about one certificate.
    pub async fn examine(&self, mut subject: Subject<'_>, round: &mut Round) -> Result<Examined, Problem> {
        subject.links.truncate(MOST_LINKS);
        let sources = sources(subject.certificate)?;
        let (traced, mut fetched) = self.trace(&mut subject, round).await?;
        fetched.retain(|der| traced.chain.iter().any(|link| link.0 == *der));
        let standing = match traced.chain.first() {
            _ if sources.tell_nothing() => Err(Why::NoAddress),
            None => Err(Why::NoIssuer),
            Some(issuer) => self.ask(&subject, &sources, issuer, self.within(traced.reach), round).await?,
        };
        Ok(Examined { traced, standing, fetched })
    }

    /// How far the addresses in a certificate may lead: where one is vouched for whom this machine trusts, it may be an authority in
    /// the house.
    fn within(&self, reach: Reach) -> Within {
        match reach {
            _ if self.local => Within::Machine,
            Reach::Anchor => Within::Network,
            Reach::Nothing | Reach::Part | Reach::Root => Within::Internet,
        }
    }

    /// The chain, and what was fetched for it.
    async fn trace(&self, subject: &mut Subject<'_>, round: &mut Round) -> Result<(Traced, Vec<Vec<u8>>), Problem> {
        let mut fetched = Vec::new();
        let mut traced = self.look(subject).await?;
        for _ in 0..HIGHEST {
            if matches!(traced.reach, Reach::Root | Reach::Anchor) {
                break;
            }
            let highest = traced.chain.last().map_or(subject.certificate, |link| &**link);
            let mut news = Vec::new();
            for address in sources(highest)?.issuers {
                let source = source(address, None, LONGEST_ANSWER, SHORT, self.within(traced.reach));
                if let Ok(content) = self.fetch(source, round).await? {
                    // What is none is as good as nothing; and of many, the first.
                    news = answers::certificates(&content).unwrap_or_default();
                    news.retain(|der| !subject.links.contains(der));
                }
                if !news.is_empty() {
                    break;
                }
            }
            if news.is_empty() {
                break;
            }
            subject.links.extend(news.iter().cloned());
            fetched.extend(news);
            traced = self.look(subject).await?;
        }
        Ok((traced, fetched))
    }

    async fn look(&self, subject: &Subject<'_>) -> Result<Traced, Problem> {
        let traced = self.helper.trace(subject.certificate, &subject.links, &subject.anchors, subject.at).await;
        traced.map_err(|error| of_helper(&error))
    }

    /// What the issuer says, by whichever way it can be asked.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        sources: &Sources,
        issuer: &[u8],
        within: Within,
        round: &mut Round,
    ) -> Result<Result<(Finding, Way), Why>, Problem> {
        let mut first = None;
        for address in &sources.ocsp {
            match self.by_ocsp(subject, address, issuer, within, round).await? {
                Ok(finding) => return Ok(Ok((finding, Way::Ocsp))),
                Err(why) => first = first.or(Some(why)),
            }
        }
        for address in &sources.lists {
            match self.by_list(subject, address, issuer, within, round).await? {
                Ok(finding) => return Ok(Ok((finding, Way::List))),
                Err(why) => first = first.or(Some(why)),
            }
        }
        Ok(Err(first.unwrap_or(Why::NoAddress)))
    }

    async fn by_ocsp(
        &self,
        subject: &Subject<'_>,
        address: &str,
        issuer: &[u8],
        within: Within,
        round: &mut Round,
    ) -> Result<Result<Finding, Why>, Problem> {
        let Subject { certificate, at, .. } = *subject;
        let request = self.helper.ocsp_request(certificate, issuer).await.map_err(|error| of_helper(&error))?;
        let in_address = by_get(address, &request);
        let body = Some(("application/ocsp-request".to_owned(), Bytes(request)));
        let mut answer = self.fetch(source(address.to_owned(), body, LONGEST_ANSWER, SHORT, within), round).await?;
        // Some serve nothing but what others have asked before.
        if let (Err(Why::Refused), Some(address)) = (&answer, in_address) {
            answer = self.fetch(source(address, None, LONGEST_ANSWER, SHORT, within), round).await?;
        }
        match answer {
            Ok(answer) => {
                let judged = self.helper.ocsp_answer(answer, certificate, issuer, at).await;
                judged.map_err(|error| of_helper(&error))
            }
            Err(why) => Ok(Err(why)),
        }
    }

    async fn by_list(
        &self,
        subject: &Subject<'_>,
        address: &str,
        issuer: &[u8],
        within: Within,
        round: &mut Round,
    ) -> Result<Result<Finding, Why>, Problem> {
        let Subject { certificate, at, .. } = *subject;
        let kept = round.list.as_ref().filter(|(from, _)| from == address).map(|(_, list)| list.clone());
        let list = match kept {
            Some(list) => list,
            None => match self.fetch(source(address.to_owned(), None, LONGEST_LIST, LONG, within), round).await? {
                Ok(list) => {
                    round.list = Some((address.to_owned(), list.clone()));
                    list
                }
                Err(why) => return Ok(Err(why)),
            },
        };
        self.helper.revocation_list(list, certificate, issuer, at).await.map_err(|error| of_helper(&error))
    }

    /// Goes there, unless that was in vain in this round.
    async fn fetch(&self, source: Source, round: &mut Round) -> Result<Result<Vec<u8>, Why>, Problem> {
        if let Some((_, why)) = round.in_vain.iter().find(|(address, _)| *address == source.from) {
            return Ok(Err(*why));
        }
        let from = source.from.clone();
        let fetched = {
            let _turn = self.turn.lock().await;
            self.courier.fetch(source).await?
        };
        if let Err(why @ (Why::Unreachable | Why::Late)) = fetched {
            round.in_vain.push((from, why));
        }
        Ok(fetched)
    }
}

fn source(from: String, body: Option<(String, Bytes)>, longest: usize, seconds: u32, within: Within) -> Source {
    Source { from, body, longest, seconds, within }
}

/// Where a request stands in the address, if it is short enough.
fn by_get(address: &str, request: &[u8]) -> Option<String> {
    let encoded: String = BASE64_STANDARD
        .encode(request)
        .chars()
        .map(|letter| match letter {
            '+' => "%2B".to_owned(),
            '/' => "%2F".to_owned(),
            '=' => "%3D".to_owned(),
            letter => letter.to_string(),
        })
        .collect();
    let whole = format!("{}/{encoded}", address.trim_end_matches('/'));
    (whole.len() <= LONGEST_ADDRESS && !address.contains(['?', '#'])).then_some(whole)
}

fn sources(certificate: &[u8]) -> Result<Sources, Problem> {
    Sources::of(certificate).map_err(|error| Problem::Internal { detail: error.to_string() })
}

fn of_helper(error: &HelperError) -> Problem {
    Problem::HelperFailed { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_of_somebody_trusted_lead_into_the_house() {
        let courier = Courier::at("/bin/false", crate::courier::protocol::Names::System);
        let within = |local, reach| Examiner::new(Helper::at("/bin/false"), courier.clone(), local).within(reach);
        for reach in [Reach::Nothing, Reach::Part, Reach::Root] {
            assert_eq!(within(false, reach), Within::Internet, "{reach:?}");
        }
        assert_eq!(within(false, Reach::Anchor), Within::Network);
        assert_eq!(within(true, Reach::Nothing), Within::Machine);
    }

    #[test]
    fn a_short_request_stands_in_the_address() {
        let address = by_get("http://ocsp.example/", &[0xfb, 0xff, 0xfe, 0xfb]);
        assert_eq!(address.as_deref(), Some("http://ocsp.example/%2B%2F%2F%2B%2Bw%3D%3D"));
        assert_eq!(by_get("http://ocsp.example/", &[0; 200]), None);
        assert_eq!(by_get("http://ocsp.example/?a", &[0]), None);
    }
}
