//! Judges the new certificate against the old one and against what was asked for, and tries its key.

use obnova_core::certificate::Certificate;
use obnova_core::job::{Intent, Outcome};
use obnova_core::{Fingerprint, Problem};

use super::Ground;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    Ok(Intent::Verify { certificate: Fingerprint::of(ground.certificate()?) })
}

pub(super) async fn perform(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let der = ground.certificate()?;
    let new = Certificate::from_der(der).map_err(|_| failed("form"))?;
    let old = ground.old_certificate().await?;
    let public_key = Fingerprint::of(ground.public_key()?);
    let checks = [
        ("key", new.public_key == public_key),
        ("holder", new.holder == old.holder),
        ("usage", new.usage == old.usage && new.authority == old.authority),
        ("serial", new.serial() != old.serial()),
        ("strength", new.key.strength() >= old.key.strength()),
        ("validity", new.not_before <= ground.tools.clock.now() && new.not_after > old.not_before),
        ("successor", new.not_before > old.not_before),
    ];
    if let Some((check, _)) = checks.into_iter().find(|(_, passed)| !passed) {
        return Err(failed(check));
    }
    let issuer = ground.authority().await?.issuer(der).await?;
    ground.tools.helper.judge(der, &issuer).await.map_err(|_| failed("signature"))?;
    // On a card it is tried where it will be used, once its certificate lies beside it.
    if ground.reservation()?.is_some() {
        return Ok(Outcome::Verify {});
    }
    let key = ground.key_file();
    let secret = sitting.key_secret(ground).await?;
    ground.tools.helper.trial(&key, der, secret).await.map_err(|error| trouble::helper(&error, &key))?;
    Ok(Outcome::Verify {})
}

fn failed(check: &str) -> Problem {
    Problem::NotVerified { check: check.into() }
}
