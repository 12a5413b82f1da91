//! Judges the new certificate against the old one and against what was asked for, and tries its key.

use chrono::Duration;
use obnova_api::QuestionView;
use obnova_core::certificate::{Certificate, CertificateError, Policies, Sources};
use obnova_core::job::{Intent, Outcome};
use obnova_core::revocation::{Standing, Why};
use obnova_core::{Fingerprint, Problem};
use tokio::time::timeout;

use super::{Ground, elsewhere};
use crate::authorities::Trust;
use crate::helper::HelperError;
use crate::revocation::{Examined, Round, Subject, above};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;
use crate::shares::{self, Whose};

/// How far an authority's clock may be ahead of ours.
const SKEW: Duration = Duration::minutes(5);

/// How long a renewal waits for whoever knows what has been revoked.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub(super) fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    Ok(Intent::Verify { certificate: Fingerprint::of(ground.certificate()?) })
}

pub(super) async fn perform(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    if !ground.job.start.plan.makes_keys() {
        return elsewhere::verify(ground, sitting).await;
    }
    let der = ground.certificate()?;
    let chain: Vec<Vec<u8>> = ground.job.chain().iter().map(|der| der.0.clone()).collect();
    let differences = judge(ground, ground.job.member(), der, &chain).await?;
    let accepted = agreed(ground, sitting, differences).await?;
    // On a card it is tried where it will be used, once its certificate lies beside it.
    if ground.reservation()?.is_some() {
        return Ok(Outcome::Verify { accepted });
    }
    let key = ground.key_file();
    let secret = sitting.key_secret(ground).await?;
    ground.tools.helper.trial(&key, der, secret).await.map_err(|error| trouble::helper(&error, &key))?;
    Ok(Outcome::Verify { accepted })
}

/// Something that a new certificate says otherwise than was asked for: the word for it, and both as a person reads them.
pub(super) struct Difference {
    what: &'static str,
    old: String,
    new: String,
}

/// Judges all new certificates (DER), in the order of the old ones; the words for what the person agrees to in them.
pub(super) async fn acceptable(
    ground: &Ground<'_>,
    sitting: &Sitting,
    certificates: &[Vec<u8>],
    chain: &[Vec<u8>],
) -> Result<Vec<String>, Problem> {
    let mut accepted = Vec::new();
    for (member, certificate) in certificates.iter().enumerate() {
        let differences = judge(ground, member, certificate, chain).await?;
        not_revoked(ground, certificate, chain).await?;
        accepted.extend(agreed(ground, sitting, differences).await?);
    }
    Ok(accepted)
}

/// The words for what the person agrees to, where a new certificate says something else than was asked for. What they have agreed
/// to before is not asked again.
pub(super) async fn agreed(
    ground: &Ground<'_>,
    sitting: &Sitting,
    mut differences: Vec<Difference>,
) -> Result<Vec<String>, Problem> {
    differences.retain(|difference| ground.job.accepted().all(|word| word != difference.what));
    let Some(first) = differences.first() else { return Ok(Vec::new()) };
    let refused = failed(if first.what == "usage" { "usage" } else { "holder" });
    let words: Vec<String> = differences.iter().map(|difference| difference.what.to_owned()).collect();
    let args = differences
        .into_iter()
        .flat_map(|Difference { what, old, new }| [(format!("{what}_old"), old), (format!("{what}_new"), new)]);
    let question =
        QuestionView { id: crate::random::hex(8), about: "differences".into(), args: Some(args.collect()), ..ground.matter() };
    if ground.tools.agents.consent(&sitting.whom, &question).await? { Ok(words) } else { Err(refused) }
}

/// Judges a new certificate (DER) that takes the place of the old one of this index, with what came beside it. What it says of its
/// holder and uses that was not asked for is for the person to judge.
pub(super) async fn judge(
    ground: &Ground<'_>,
    member: usize,
    der: &[u8],
    chain: &[Vec<u8>],
) -> Result<Vec<Difference>, Problem> {
    let new = Certificate::from_der(der).map_err(|_| failed("form"))?;
    let old = ground.job.start.old.get(member).ok_or_else(|| failed("key"))?;
    let old_der = ground.der_of(old).await?;
    let read = |error: CertificateError| Problem::Internal { detail: error.to_string() };
    let old = Certificate::from_der(&old_der).map_err(read)?;
    // The old one's, or exactly the change that the person agreed to.
    let holder = match ground.job.new_subject() {
        None => old.holder,
        Some(subject) => Certificate::holder_with_subject(&old_der, subject).map_err(read)?,
    };
    // A mailbox's visiting card may have changed since: that it is of this mailbox was found out when it was named.
    let mailbox = !ground.job.start.plan.makes_keys() && ground.programme().await?.visiting_card_of(&new).is_some();
    let public_key = ground.job.public_key(member).map(Fingerprint::of);
    let now = ground.tools.clock.now().to_utc();
    let known = new.clone();
    let reused = ground.tools.engine.read(move |state| state.world.knows_serial(&known));
    let checks = [
        // The key of what others have made is proved by its trial alone.
        ("key", Some(new.public_key) == public_key || !ground.job.start.plan.makes_keys()),
        ("usage", new.authority == old.authority && (new.may_decrypt() || !old.may_decrypt())),
        ("serial", new.serial() != old.serial() && !reused.await?),
        ("strength", new.key.strength() >= old.key.strength()),
        ("validity", new.not_before <= now + SKEW && now < new.not_after),
        ("successor", new.not_before > old.not_before && new.not_after > old.not_after.min(now)),
        ("policy", Policies::of(der).map_err(|_| failed("form"))?.succeed(&Policies::of(&old_der).map_err(read)?)),
    ];
    if let Some((check, _)) = checks.into_iter().find(|(_, passed)| !passed) {
        return Err(failed(check));
    }
    let helper = &ground.tools.helper;
    match ground.authority().await?.trust(der).await? {
        Trust::Issuer(issuer) => helper.judge(der, &issuer).await.map_err(|error| not_proven("signature", &error))?,
        Trust::Anchors(anchors) => {
            helper.chain(der, chain, &anchors, now).await.map_err(|error| not_proven("chain", &error))?;
        }
        // Its holder has it from there, and its key is tried.
        Trust::Holder => {}
    }
    let same_holder = new.holder == holder || mailbox;
    let subject = ground.job.new_subject().map_or(Ok(old.subject().to_owned()), Certificate::name_text).map_err(read)?;
    Ok(differences(&old, &new, &subject, same_holder))
}

/// What the new certificate says otherwise. `subject`: what was asked for.
fn differences(old: &Certificate, new: &Certificate, subject: &str, same_holder: bool) -> Vec<Difference> {
    let addresses = |certificate: &Certificate| certificate.addresses().collect::<Vec<_>>().join(", ");
    let usage = |certificate: &Certificate| certificate.usage_names().join(", ");
    let mut pairs = vec![("usage", usage(old), usage(new))];
    if !same_holder {
        pairs.push(("subject", subject.to_owned(), new.subject().to_owned()));
        pairs.push(("addresses", addresses(old), addresses(new)));
    }
    let differ = pairs.iter().any(|(_, old, new)| old != new);
    let mut differences: Vec<Difference> =
        pairs.into_iter().filter(|(_, old, new)| old != new).map(|(what, old, new)| Difference { what, old, new }).collect();
    // Something of which the names as they are shown say nothing.
    if !same_holder && !differ {
        differences.push(Difference { what: "names", old: String::new(), new: String::new() });
    }
    differences
}

/// Its issuer has not revoked it already. What cannot be found out holds nothing up: the authority has only just issued it.
pub(super) async fn not_revoked(ground: &Ground<'_>, der: &[u8], chain: &[Vec<u8>]) -> Result<(), Problem> {
    let Some(examiner) = &ground.tools.examiner else { return Ok(()) };
    if Sources::of(der).map_err(|_| failed("form"))?.tell_nothing() {
        return Ok(());
    }
    let (known, mut anchors) = above(&ground.tools.engine, der).await?;
    if let Trust::Anchors(own) = ground.authority().await?.trust(der).await? {
        anchors.extend(own);
    }
    let subject = Subject { certificate: der, links: [chain, &known].concat(), anchors, at: ground.tools.clock.now().to_utc() };
    let mut round = Round::default();
    let outcome = timeout(PATIENCE, shares::spent(Whose::Authority, examiner.examine(subject, &mut round))).await;
    let why = match outcome {
        Ok(Ok(Examined { standing: Ok((finding, way)), .. })) => match finding.standing {
            Standing::Good => {
                tracing::info!(job = ground.number, way = way.as_str(), "the new certificate has not been revoked");
                return Ok(());
            }
            Standing::Revoked(_) => return Err(failed("revocation")),
        },
        Ok(Ok(Examined { standing: Err(why), .. })) => why.as_str().to_owned(),
        Ok(Err(problem)) => problem.to_string(),
        Err(_) => Why::Late.as_str().to_owned(),
    };
    tracing::warn!(job = ground.number, why, "it was not found out whether the new certificate has been revoked");
    Ok(())
}

/// What the helper could not prove; that it does not work proves nothing.
fn not_proven(check: &str, error: &HelperError) -> Problem {
    match error {
        HelperError::NotIssued { .. } | HelperError::Broken { .. } | HelperError::Unsupported { .. } => failed(check),
        other => Problem::HelperFailed { detail: other.to_string() },
    }
}

fn failed(check: &str) -> Problem {
    Problem::NotVerified { check: check.into() }
}
