//! The new certificates reach us: all of a pair, or none. What would not pass the next step is not taken, so that the authority
//! can be asked once more.

use obnova_core::Problem;
use obnova_core::job::{Bytes, Outcome};

use super::{Ground, elsewhere, verify};
use crate::authorities::answers;
use crate::runner::sitting::Sitting;

pub(super) async fn perform(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    if !ground.job.start.plan.makes_keys() {
        return elsewhere::fetch(ground, sitting).await;
    }
    let authority = ground.authority().await?;
    // What the authority hands over itself comes first. Wrong ones that somebody has brought do not keep it from doing so later.
    let received = match ground.job.issued() {
        Some(issued) => issued.iter().map(|der| der.0.clone()).collect(),
        None if ground.job.is_brought_whole() => match brought(ground, sitting).await {
            Err(wrong @ Problem::NotVerified { .. }) => authority.fetch(ground.order()?).await.map_err(|_| wrong)?,
            taken_or_failed => return taken_or_failed,
        },
        None => authority.fetch(ground.order()?).await?,
    };
    let keys: Vec<&[u8]> = (0..ground.job.start.old.len()).filter_map(|member| ground.job.public_key(member)).collect();
    let mut sorted = answers::sorted(received, &keys).map_err(|_| Problem::NotVerified { check: "key".into() })?;
    sorted.others.extend(authority.links().await?);
    let accepted = verify::acceptable(ground, sitting, &sorted.ours, &sorted.others).await?;
    let bytes = |ders: Vec<Vec<u8>>| ders.into_iter().map(Bytes).collect();
    Ok(Outcome::Fetch { certificates: bytes(sorted.ours), chain: bytes(sorted.others), found: None, accepted })
}

/// Takes of what was brought for each key the last that can be taken; what is wrong with the last, if none can.
async fn brought(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    let chain = ground.authority().await?.links().await?;
    let mut certificates = Vec::new();
    for member in 0..ground.job.start.old.len() {
        let mut wrong = None;
        for certificate in ground.job.brought_for(member) {
            match verify::judge(ground, member, certificate, &chain).await {
                Ok(_) => {
                    certificates.push(certificate.to_vec());
                    wrong = None;
                    break;
                }
                Err(problem) => wrong = wrong.or(Some(problem)),
            }
        }
        if let Some(problem) = wrong {
            return Err(problem);
        }
    }
    let accepted = verify::acceptable(ground, sitting, &certificates, &chain).await?;
    let bytes = |ders: Vec<Vec<u8>>| ders.into_iter().map(Bytes).collect();
    Ok(Outcome::Fetch { certificates: bytes(certificates), chain: bytes(chain), found: None, accepted })
}
