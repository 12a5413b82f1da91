//! A new key comes into being: in its protected file in the job's directory, fsynced before anybody learns its public half, or on
//! the card, in the spot that was set aside for it.

use obnova_core::Problem;
use obnova_core::card::Presence;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::{Bytes, Home, Intent, Outcome, Reservation};

use super::{Answer, Ground};
use crate::cards::step::{CardAnswer, CardStep};
use crate::helper::{self, HelperError};
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

pub(super) async fn prepare(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Intent, Problem> {
    let new = ground.new_key()?;
    // Asked and checked before anything is intended: a wrong secret leaves no trace.
    match new.home {
        Home::File(_) => drop(sitting.key_secret(ground).await?),
        Home::Card(_) => ground.open_card(sitting, &new.place).await?,
        Home::There(_) | Home::Others(_) => return Err(made_already()),
    }
    Ok(Intent::GenerateKeys { algorithm: new.algorithm, home: new.home.clone() })
}

pub(super) async fn perform(
    ground: &Ground<'_>,
    algorithm: KeyAlgorithm,
    home: &Home,
    sitting: &mut Sitting,
) -> Result<Outcome, Problem> {
    let file = match home {
        Home::File(file) => file,
        Home::Card(reservation) => return on_card(ground, algorithm, reservation, sitting).await,
        Home::There(_) | Home::Others(_) => return Err(made_already()),
    };
    let kind = match algorithm {
        KeyAlgorithm::Rsa(2048) => helper::KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa(3072) => helper::KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa(4096) => helper::KeyAlgorithm::Rsa4096,
        KeyAlgorithm::P256 => helper::KeyAlgorithm::P256,
        KeyAlgorithm::P384 => helper::KeyAlgorithm::P384,
        other => return Err(Problem::UnsupportedKey { algorithm: other.to_string() }),
    };
    ground.make_directory()?;
    let path = ground.file(file);
    let secret = sitting.key_secret(ground).await?;
    let spki = ground.tools.helper.generate(kind, &path, secret).await;
    let spki = spki.map_err(|error| trouble::helper(&error, &path))?;
    Ok(Outcome::GenerateKeys { public_key: Bytes(spki) })
}

pub(super) async fn probe(ground: &Ground<'_>, home: &Home) -> Answer {
    let file = match home {
        Home::File(file) => file,
        Home::Card(reservation) => return probe_card(ground, reservation).await,
        Home::There(_) | Home::Others(_) => return Answer::Unknown(made_already()),
    };
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

/// No plan makes a key that exists.
pub(super) fn made_already() -> Problem {
    Problem::Internal { detail: "key exists already".into() }
}

async fn on_card(
    ground: &Ground<'_>,
    algorithm: KeyAlgorithm,
    reservation: &Reservation,
    sitting: &mut Sitting,
) -> Result<Outcome, Problem> {
    let step = CardStep::Generate {
        spot: reservation.spot.clone(),
        algorithm,
        like: reservation.old.clone(),
        label: reservation.label.clone(),
    };
    match ground.at_card(sitting, &ground.new_key()?.place, step).await? {
        CardAnswer::PublicKey { public_key } => Ok(Outcome::GenerateKeys { public_key }),
        other => Err(ground.odd_answer(&other)),
    }
}

/// A key in the spot that was free when it was set aside is the one that was made there, unless somebody gave it a certificate.
async fn probe_card(ground: &Ground<'_>, reservation: &Reservation) -> Answer {
    let place = match ground.new_key() {
        Ok(new) => &new.place,
        Err(problem) => return Answer::Unknown(problem),
    };
    let card = match ground.look(place).await {
        Ok(card) => card,
        Err(error) => return Answer::Unknown(ground.card_problem(&error, place)),
    };
    match card.spot(&reservation.spot) {
        Some(state) if state.certificate.is_none() => match &state.key {
            Presence::Key(public_key) => Answer::Happened(Outcome::GenerateKeys { public_key: public_key.clone() }),
            // The card itself proves that it is empty before it makes a key there.
            Presence::Free | Presence::Unproven => Answer::NotYet,
            Presence::Unknown => Answer::Unknown(occupied(reservation, &card.label)),
        },
        Some(_) => Answer::Unknown(occupied(reservation, &card.label)),
        None => Answer::NotYet,
    }
}

fn occupied(reservation: &Reservation, card: &str) -> Problem {
    Problem::CardOccupied { card: card.to_owned(), spot: reservation.spot.to_string() }
}
