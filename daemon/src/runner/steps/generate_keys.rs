//! A new key comes into being, in its protected file in the job's directory, fsynced before anybody learns its public half.

use obnova_core::Problem;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::{Bytes, Home, Intent, Outcome};

use super::{Answer, Ground};
use crate::helper::{self, HelperError};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) async fn prepare(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Intent, Problem> {
    // Asked and checked before anything is intended: a wrong secret leaves no trace.
    sitting.key_secret(ground).await?;
    let new = ground.new_key()?;
    Ok(Intent::GenerateKeys { algorithm: new.algorithm, home: new.home.clone() })
}

pub(super) async fn perform(
    ground: &Ground<'_>,
    algorithm: KeyAlgorithm,
    home: &Home,
    sitting: &mut Sitting,
) -> Result<Outcome, Problem> {
    let kind = match algorithm {
        KeyAlgorithm::Rsa(2048) => helper::KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa(3072) => helper::KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa(4096) => helper::KeyAlgorithm::Rsa4096,
        KeyAlgorithm::P256 => helper::KeyAlgorithm::P256,
        KeyAlgorithm::P384 => helper::KeyAlgorithm::P384,
        other => return Err(Problem::UnsupportedKey { algorithm: other.to_string() }),
    };
    let Home::File(file) = home else { return Err(Problem::Internal { detail: "no card".into() }) };
    ground.make_directory()?;
    let path = ground.file(file);
    let secret = sitting.key_secret(ground).await?;
    let spki = ground.tools.helper.generate(kind, &path, secret).await;
    let spki = spki.map_err(|error| trouble::helper(&error, &path))?;
    Ok(Outcome::GenerateKeys { public_key: Bytes(spki) })
}

pub(super) async fn probe(ground: &Ground<'_>, home: &Home) -> Answer {
    let Home::File(file) = home else { return Answer::Unknown(Problem::Internal { detail: "no card".into() }) };
    let path = ground.file(file);
    match ground.tools.helper.public_half(&path).await {
        Ok(Some(spki)) => Answer::Happened(Outcome::GenerateKeys { public_key: Bytes(spki) }),
        Ok(None) | Err(HelperError::NotFound) => Answer::NotYet,
        Err(HelperError::NoKey | HelperError::Broken { .. }) => {
            Answer::Unknown(Problem::Unclear { step: "generate-keys".into(), path: path.display().to_string() })
        }
        Err(error) => Answer::Unknown(trouble::helper(&error, &path)),
    }
}
