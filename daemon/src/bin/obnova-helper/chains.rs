//! Finds the chain above a certificate: how far it is known, and until when it holds. Whom else than the machine to trust is said by
//! whoever asks.

use chrono::{DateTime, TimeDelta, Utc};
use obnova_core::Certificate;
use obnova_core::revocation::Reach;
use obnovad::helper::HelperError;
use obnovad::helper::protocol::{Bytes, Traced};
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext, X509VerifyResult};

use crate::certificates::parse;
use crate::failure::of_openssl;

/// The most certificates above one.
const DEEPEST: i32 = 8;

/// How often a chain is looked for that holds longer than the last.
const MOST: usize = 8;

/// Finds the best chain above `certificate`: one that holds at `at` if there is one, and of those one that is trusted if there is one.
pub(crate) fn trace(certificate: &[u8], links: &[Bytes], anchors: &[Bytes], at: DateTime<Utc>) -> Result<Traced, HelperError> {
    // What cannot be read strictly was none that anybody vouches for; and a certificate is not its own chain.
    let read = |ders: &[Bytes]| -> Vec<X509> {
        ders.iter().filter(|der| ***der != *certificate).filter_map(|der| parse(der).ok()).collect()
    };
    let (links, anchors, certificate) = (read(links), read(anchors), parse(certificate)?);
    let is_root = |link: &&X509| link.issuer_name().try_cmp(link.subject_name()).is_ok_and(std::cmp::Ordering::is_eq);
    let roots: Vec<&X509> = links.iter().filter(is_root).collect();
    let grounds =
        [(Reach::Anchor, anchors.iter().collect::<Vec<&X509>>()), (Reach::Root, roots), (Reach::Part, links.iter().collect())];
    let traced = || -> Result<Option<Traced>, ErrorStack> {
        for moment in [Some(at), None] {
            for (reach, trusted) in &grounds {
                let above = |moment| above(&certificate, &links, trusted, *reach == Reach::Anchor, moment);
                if let Some(chain) = above(moment)? {
                    return followed(&chain, *reach, &certificate, above).map(Some);
                }
            }
        }
        Ok(None)
    };
    let traced = traced().map_err(|error| of_openssl(&error))?;
    Ok(traced.unwrap_or(Traced { chain: Vec::new(), reach: Reach::Nothing, until: None }))
}

/// A chain, and until when it or one that takes its place holds.
fn followed(
    chain: &[X509],
    reach: Reach,
    certificate: &X509,
    above: impl Fn(Option<DateTime<Utc>>) -> Result<Option<Vec<X509>>, ErrorStack>,
) -> Result<Traced, ErrorStack> {
    let own_end = end(certificate).map(|(end, _)| end);
    let mut until = first_end(chain);
    for _ in 0..MOST {
        let Some((moment, _)) = until.as_ref().filter(|(moment, _)| Some(*moment) < own_end) else { break };
        let Some(longer) = above(Some(*moment + TimeDelta::seconds(1)))? else { break };
        until = first_end(&longer);
    }
    let chain = chain.iter().map(|link| link.to_der().map(Bytes)).collect::<Result<_, _>>()?;
    Ok(Traced { chain, reach, until })
}

/// The certificates above one, its issuer first, up to one that is trusted; `machine`: or that the machine trusts. `None`: there are
/// none that hold at this moment, or at all where no moment is named.
fn above(
    certificate: &X509,
    links: &[X509],
    trusted: &[&X509],
    machine: bool,
    at: Option<DateTime<Utc>>,
) -> Result<Option<Vec<X509>>, ErrorStack> {
    let mut untrusted = Stack::new()?;
    for link in links {
        untrusted.push(link.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let chain = context.init(&*store(trusted, machine, at)?, certificate, &untrusted, |context| {
        if !context.verify_cert()? || context.error() != X509VerifyResult::OK {
            return Ok(None);
        }
        Ok(context.chain().map(|chain| chain.iter().skip(1).map(ToOwned::to_owned).collect::<Vec<X509>>()))
    })?;
    Ok(chain.filter(|chain| !chain.is_empty()))
}

fn store(trusted: &[&X509], machine: bool, at: Option<DateTime<Utc>>) -> Result<X509Store, ErrorStack> {
    let mut parameters = X509VerifyParam::new()?;
    let mut flags = X509VerifyFlags::PARTIAL_CHAIN;
    match at {
        Some(at) => parameters.set_time(at.timestamp()),
        None => flags |= X509VerifyFlags::NO_CHECK_TIME,
    }
    parameters.set_flags(flags)?;
    parameters.set_depth(DEEPEST);
    let mut store = X509StoreBuilder::new()?;
    store.set_param(&parameters)?;
    if machine {
        store.set_default_paths()?;
    }
    for certificate in trusted {
        store.add_cert((*certificate).clone())?;
    }
    Ok(store.build())
}

fn first_end(chain: &[X509]) -> Option<(DateTime<Utc>, String)> {
    chain.iter().filter_map(end).min()
}

fn end(certificate: &X509) -> Option<(DateTime<Utc>, String)> {
    let read = Certificate::from_der(&certificate.to_der().ok()?).ok()?;
    Some((read.not_after, read.name().to_owned()))
}
