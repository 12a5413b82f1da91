//! The new certificate is asked for. With a self-made one the new key signs it; exactly the bytes that were journalled.

use std::io::Write;
use std::path::Path;

use chrono::Duration;
use obnova_core::Problem;
use obnova_core::job::{Bytes, Intent, Made, Outcome};
use obnova_core::programme::Authority;

use super::{Answer, Ground, REQUESTED_FILE};
use crate::authorities::self_signed;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) async fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    let Authority::SelfSigned { validity_days } = ground.programme().await?.authority else {
        return Err(Problem::Internal { detail: "no authority".into() });
    };
    let old = ground.old_certificate().await?;
    let life = validity_days.map_or(old.not_after - old.not_before, |days| Duration::days(i64::from(days)));
    let from = ground.tools.clock.now().to_utc();
    let request = self_signed::Request {
        old: &ground.old_der().await?,
        public_key: ground.public_key()?,
        serial: crate::random::bytes(),
        not_before: from,
        not_after: from + life,
    };
    let request = request.encode().map_err(|error| Problem::Internal { detail: error.to_string() })?;
    Ok(Intent::Request { request: Bytes(request), file: ground.own(REQUESTED_FILE) })
}

pub(super) async fn perform(
    ground: &Ground<'_>,
    request: &[u8],
    file: &str,
    sitting: &mut Sitting,
) -> Result<Outcome, Problem> {
    let key = ground.key_file();
    let secret = sitting.key_secret(ground).await?;
    let signature = ground.tools.helper.sign(&key, request, ground.public_key()?, secret).await;
    let signature = signature.map_err(|error| trouble::helper(&error, &key))?;
    let certificate =
        self_signed::assemble(request, &signature).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let path = ground.file(file);
    write_whole(&path, &certificate).map_err(|error| trouble::io(&error, &path))?;
    Ok(Outcome::Request { made: Made::Certificate(Bytes(certificate)) })
}

pub(super) fn probe(ground: &Ground<'_>, request: &[u8], file: &str) -> Answer {
    let path = ground.file(file);
    match std::fs::read(&path) {
        Ok(certificate) if self_signed::answers(&certificate, request) => {
            Answer::Happened(Outcome::Request { made: Made::Certificate(Bytes(certificate)) })
        }
        Ok(_) => Answer::Unknown(Problem::Unclear { step: "request".into(), path: path.display().to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Answer::NotYet,
        Err(error) => Answer::Unknown(trouble::io(&error, &path)),
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(directory)?.sync_all()
}
