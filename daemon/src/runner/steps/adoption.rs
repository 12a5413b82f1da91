//! A certificate that exists already takes the place of the old one: what Preflight and Verify look at then. Nothing is made, and
//! nothing moved.

use obnova_core::certificate::Certificate;
use obnova_core::job::{Bytes, Home, NewKey, Outcome};
use obnova_core::{Fingerprint, Problem, Scheme};

use super::Ground;
use crate::helper::HelperError;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

/// The certificate is in the place that the person named, with its key.
pub(super) async fn preflight(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let start = &ground.job.start;
    let place = start.to.clone().ok_or_else(|| Problem::Internal { detail: "an adoption of nothing".into() })?;
    let (there, item) = (place.clone(), start.identity);
    let found = ground.tools.engine.read(move |state| {
        let (_, new) = state.world.replaced_by(item, &there)?;
        Some((new.fingerprint, new.key))
    });
    let none = || Problem::NoSuccessor { path: place.shown() };
    let (fingerprint, algorithm) = found.await?.ok_or_else(none)?;
    let der = ground.tools.engine.journal().der(fingerprint).await;
    let der = der.map_err(|error| crate::engine::journal_problem(&error))?.ok_or_else(none)?;
    let key = crate::stores::key_file(&place).ok_or_else(|| Problem::NoKey { path: place.shown() })?;
    let protected = place.scheme() == Scheme::Pkcs12
        || match ground.tools.helper.inspect_key(&key, None).await {
            Ok(_) => false,
            Err(HelperError::SecretNeeded) => true,
            Err(error) => return Err(trouble::helper(&error, &key)),
        };
    let new = NewKey { algorithm, place, home: Home::There(Bytes(der)) };
    Ok(Outcome::Preflight { keys: vec![new], protected, subject: None })
}

/// It is what the old one was, and its key works.
pub(super) async fn verify(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let der = ground.certificate()?;
    let failed = |check: &str| Problem::NotVerified { check: check.into() };
    let new = Certificate::from_der(der).map_err(|_| failed("form"))?;
    let old = ground.old_certificate().await?;
    let now = ground.tools.clock.now();
    // A mailbox's visiting card may have changed since: that it is of this mailbox was found out when it was named.
    let mailbox = ground.programme().await?.visiting_card_of(&new).is_some();
    let checks = [
        ("holder", new.holder == old.holder || mailbox),
        ("usage", new.authority == old.authority && (new.may_decrypt() || !old.may_decrypt())),
        ("serial", new.serial() != old.serial() || new.issuer() != old.issuer()),
        ("strength", new.key.strength() >= old.key.strength()),
        ("validity", new.not_before <= now && new.not_after > now),
        ("successor", new.not_before > old.not_before),
    ];
    if let Some((check, _)) = checks.into_iter().find(|(_, passed)| !passed) {
        return Err(failed(check));
    }
    // Who has issued one that is not self-made is not known here: its holder has it from there, and its key is tried.
    if new.self_issued() {
        ground.tools.helper.judge(der, der).await.map_err(|_| failed("signature"))?;
    }
    let key = ground.key_there()?;
    let secret = sitting.key_secret(ground).await?;
    ground.tools.helper.trial(&key, der, secret).await.map_err(|error| trouble::helper(&error, &key))?;
    debug_assert_eq!(Fingerprint::of(der), new.fingerprint);
    Ok(Outcome::Verify {})
}
