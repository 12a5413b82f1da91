//! Puts the new key and certificate where programs look for them: as new files, recognised by their digests. Over others they go
//! only where the programme says so, by [`replace`].

use std::path::PathBuf;

use obnova_core::card::Spot;
use obnova_core::job::{self, Home, InstallFile, Intent, Outcome, Reservation};
use obnova_core::{Certificate, Fingerprint, Place, Problem, Scheme};

use super::request::write_whole;
use super::{Answer, Ground, replace};
use crate::cards::step::{CardAnswer, CardStep};
use crate::helper::{Bytes, Format, Product};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

/// A file with a key: its owner alone.
const PRIVATE: u32 = 0o600;
/// A certificate: everybody may read it.
const PUBLIC: u32 = 0o644;

/// Which files a place is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A `.p12`, and the certificate alone beside it.
    Pkcs12,
    /// Certificate and key, PEM, in one file.
    Both,
    /// Certificate and key, PEM, in two files.
    Pair,
}

impl Layout {
    /// As the old place is made.
    pub(super) fn of(old: &Place) -> Self {
        match old.scheme() {
            Scheme::Pkcs12 => Self::Pkcs12,
            Scheme::File if crate::stores::key_file(old).is_some_and(|key| key == old.path()) => Self::Both,
            _ => Self::Pair,
        }
    }

    /// The files of a place, those with keys first, and their permission bits.
    pub(super) fn files(self, place: &Place) -> Result<Vec<(PathBuf, u32)>, Problem> {
        let path = place.path();
        let beside = |extension: &str| {
            let other = path.with_extension(extension);
            let clash = || Problem::InvalidArgument { argument: "to".into(), value: path.display().to_string() };
            if other == path { Err(clash()) } else { Ok(other) }
        };
        Ok(match self {
            Self::Pkcs12 => vec![(path.clone(), PRIVATE), (beside("crt")?, PUBLIC)],
            Self::Both => vec![(path, PRIVATE)],
            Self::Pair => vec![(beside("key")?, PRIVATE), (path, PUBLIC)],
        })
    }
}

pub(super) async fn prepare(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Intent, Problem> {
    let place = &ground.new_key()?.place;
    if ground.reservation()?.is_some() {
        // Asked and checked before anything is intended; in the second sitting, this is where it begins.
        ground.open_card(sitting, place).await?;
        return Ok(Intent::Install { place: place.clone(), files: Vec::new() });
    }
    // Other programs have put it where it is.
    if let Home::There(_) = ground.new_key()?.home {
        return Ok(Intent::Install { place: place.clone(), files: Vec::new() });
    }
    let layout = Layout::of(&ground.old()?.place);
    let mut files = Vec::new();
    let targets = if replace::is_meant(ground) {
        // The one without a key comes last in each layout.
        let old = replace::files(&ground.old()?.place, layout)?;
        old.into_iter().zip([PRIVATE, PUBLIC]).collect()
    } else {
        layout.files(place)?
    };
    for (path, mode) in targets {
        let private = mode == PRIVATE;
        let staged = ground.own(if private { "private" } else { "public" });
        let sha256 =
            if private { stage_private(ground, layout, &staged, sitting).await? } else { stage_public(ground, &staged)? };
        let replaces = if replace::is_meant(ground) { replace::replaced(ground, &path).await? } else { None };
        files.push(InstallFile { staged, target: Place::new(Scheme::File, &path), mode, sha256, replaces });
    }
    Ok(Intent::Install { place: place.clone(), files })
}

async fn stage_private(
    ground: &Ground<'_>,
    layout: Layout,
    staged: &str,
    sitting: &mut Sitting,
) -> Result<Fingerprint, Problem> {
    let der = ground.certificate()?;
    let certificate = Certificate::from_der(der).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let out = ground.file(staged);
    let product = Product {
        key: ground.key_file().as_path().into(),
        certificate: Bytes(der.to_vec()),
        chain: Vec::new(),
        friendly_name: Some(certificate.name().to_owned()),
        out: out.as_path().into(),
        format: match layout {
            Layout::Pkcs12 => Format::Pkcs12,
            Layout::Both => Format::PemBoth,
            Layout::Pair => Format::PemKey,
        },
    };
    let secret = sitting.key_secret(ground).await?;
    let packaged = ground.tools.helper.package(product, secret, secret).await;
    packaged.map(Fingerprint).map_err(|error| trouble::helper(&error, &out))
}

fn stage_public(ground: &Ground<'_>, staged: &str) -> Result<Fingerprint, Problem> {
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, ground.certificate()?)
        .map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let out = ground.file(staged);
    write_whole(&out, pem.as_bytes()).map_err(|error| trouble::io(&error, &out))?;
    Ok(Fingerprint::of(pem.as_bytes()))
}

pub(super) async fn perform(ground: &Ground<'_>, files: &[InstallFile], sitting: &mut Sitting) -> Result<Outcome, Problem> {
    if let Some(reservation) = ground.reservation()? {
        return on_card(ground, reservation, sitting).await;
    }
    replace::perform(ground, files).await?;
    for file in files.iter().filter(|file| file.replaces.is_none()) {
        let target = file.target.path();
        // A file of ours that reached its place before a crash or a failure of the next one.
        if ground.tools.helper.digest(&target).await.is_ok_and(|digest| digest == Some(file.sha256.0)) {
            continue;
        }
        let placed = ground.tools.helper.place(&ground.file(&file.staged), &target, file.mode, file.sha256.0).await;
        placed.map_err(|error| trouble::helper(&error, &target))?;
    }
    Ok(Outcome::Install {})
}

pub(super) async fn probe(ground: &Ground<'_>, files: &[InstallFile]) -> Answer {
    // Writing the same certificate again changes nothing, and the trial is owed in any case.
    if files.is_empty() {
        return Answer::NotYet;
    }
    let mut all = true;
    for file in files {
        let target = file.target.path();
        match ground.tools.helper.digest(&target).await {
            Ok(Some(digest)) if digest == file.sha256.0 => {}
            Ok(None) => all = false,
            // Somebody else's file: that ours is not there is certain, so trying again is right, and refused there.
            Ok(Some(_)) => return Answer::NotYet,
            Err(error) => return Answer::Unknown(trouble::helper(&error, &target)),
        }
    }
    if all { Answer::Happened(Outcome::Install {}) } else { Answer::NotYet }
}

/// Writes the certificate beside its key, then tries the key.
async fn on_card(ground: &Ground<'_>, reservation: &Reservation, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let der = ground.certificate()?;
    let step = CardStep::Install {
        spot: reservation.spot.clone(),
        certificate: job::Bytes(der.to_vec()),
        label: reservation.label.clone(),
    };
    let place = &ground.new_key()?.place;
    ground.at_card(sitting, place, step).await?;
    if reservation.archive.is_none() && place.scheme() == Scheme::Piv {
        ground.at_card(sitting, place, CardStep::Announce {}).await?;
    }
    try_on_card(ground, &reservation.spot, sitting).await?;
    Ok(Outcome::Install {})
}

/// The new key signs and, where its certificate says that it may, decrypts; OpenSSL judges both.
pub(super) async fn try_on_card(ground: &Ground<'_>, spot: &Spot, sitting: &mut Sitting) -> Result<(), Problem> {
    let place = &ground.new_key()?.place;
    let failed = || Problem::CardTrialFailed { card: ground.tools.cards.label(place), spot: spot.to_string() };
    let public_key = Certificate::public_key_in(ground.certificate()?).map_err(|_| failed())?;
    let message: [u8; 32] = crate::random::bytes();
    let step = CardStep::Sign {
        spot: spot.clone(),
        public_key: job::Bytes(public_key.clone()),
        message: job::Bytes(message.to_vec()),
    };
    let CardAnswer::Signature { signature } = ground.at_card(sitting, place, step).await? else { return Err(failed()) };
    ground.tools.helper.verify(&public_key, &message, &signature.0).await.map_err(|_| failed())?;
    let certificate = Certificate::from_der(ground.certificate()?).map_err(|_| failed())?;
    if certificate.usage.is_none() || !certificate.may_decrypt() {
        return Ok(());
    }
    let challenge = ground.tools.helper.challenge(&public_key).await.map_err(|_| failed())?;
    let step = CardStep::Decrypt {
        spot: spot.clone(),
        public_key: job::Bytes(public_key),
        ciphertext: job::Bytes(challenge.ciphertext.0),
    };
    match ground.at_card(sitting, place, step).await {
        Ok(CardAnswer::Plain { plain }) if plain.0 == challenge.expected.0 => Ok(()),
        // The old key could not either: the new one is made like it.
        Err(Problem::CardUnable { .. }) => Ok(()),
        Ok(_) => Err(failed()),
        Err(problem) => Err(problem),
    }
}
