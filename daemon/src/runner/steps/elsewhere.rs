//! Certificates that other programs have made: those that a person names, and those that appear while a renewal waits for what the
//! person does at the authority's page. Nothing is made here, and nothing moved.

use std::collections::BTreeSet;

use obnova_core::certificate::Certificate;
use obnova_core::job::{Bytes, FoundKeys, Home, NewKey, Outcome};
use obnova_core::programme::{Computer, Page};
use obnova_core::{Fingerprint, Place, Problem, Scheme};

use super::{Ground, install, preflight, verify};
use crate::authorities::Issuer;
use crate::cards::step::CardError;
use crate::helper::HelperError;
use crate::runner::sitting::Sitting;
use crate::runner::trouble;

/// How a page is called that nobody knows.
const NONE: &str = "none";

/// The old certificates are there, and their card, if they are on one, can be opened; or what takes their places is there already.
pub(super) async fn preflight(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    if ground.job.start.plan.is_adoption() {
        let path = ground.job.start.to.as_ref().map(Place::shown).unwrap_or_default();
        let FoundKeys { keys, protected } = found(ground).await?.ok_or(Problem::NoSuccessor { path })?;
        return Ok(Outcome::Preflight { keys, protected, subject: None });
    }
    preflight::all_there(ground).await?;
    let mut keys = Vec::new();
    for old in &ground.job.start.old {
        if old.place.scheme().is_card() {
            preflight::opened_card(ground, sitting, &old.place).await?;
        }
        let der = ground.der_of(old).await?;
        let algorithm = read(&der)?.key;
        keys.push(NewKey { algorithm, place: old.place.clone(), home: Home::Others(Bytes(der)) });
    }
    Ok(Outcome::Preflight { keys, protected: false, subject: None })
}

/// Whether other programs have made what takes the old certificates' places.
pub(super) async fn await_made(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    if found(ground).await?.is_none() {
        look_at_cards(ground).await?;
        if found(ground).await?.is_none() {
            return Err(awaited(&page(ground).await?));
        }
    }
    Ok(Outcome::AwaitIssue { issued: Vec::new() })
}

/// Takes note of what other programs have made, and where.
pub(super) async fn fetch(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    let Some(found) = found(ground).await? else { return Err(awaited(&page(ground).await?)) };
    let made = |key: &NewKey| if let Home::There(der) = &key.home { Some(der.0.clone()) } else { None };
    let certificates = found.keys.iter().filter_map(made).collect::<Vec<_>>();
    let mut chain: Vec<Vec<u8>> = Vec::new();
    for certificate in &certificates {
        let known = links(ground, certificate).await?;
        chain.extend(known.into_iter().filter(|link| !chain.contains(link)).collect::<Vec<_>>());
    }
    let accepted = verify::acceptable(ground, sitting, &certificates, &chain).await?;
    let bytes = |ders: Vec<Vec<u8>>| ders.into_iter().map(Bytes).collect();
    Ok(Outcome::Fetch { certificates: bytes(certificates), chain: bytes(chain), found: Some(found), accepted })
}

/// It can take the old one's place, and its key works.
pub(super) async fn verify(ground: &Ground<'_>, sitting: &mut Sitting) -> Result<Outcome, Problem> {
    let der = ground.certificate()?;
    let mut chain: Vec<Vec<u8>> = ground.job.chain().iter().map(|der| der.0.clone()).collect();
    if chain.is_empty() {
        chain = links(ground, der).await?;
    }
    let differences = verify::judge(ground, ground.job.member(), der, &chain).await?;
    if ground.job.start.plan.is_adoption() {
        verify::not_revoked(ground, der, &chain).await?;
    }
    let accepted = verify::agreed(ground, sitting, differences).await?;
    let new = ground.new_key()?;
    if new.place.scheme().is_card() {
        let card = ground.card(sitting, &new.place).await?;
        let gone = || Problem::CardKeyGone { card: card.label.clone(), spot: NONE.to_owned() };
        let spot = card.spot_of(der).ok_or_else(gone)?.spot.clone();
        install::try_on_card(ground, &spot, sitting).await?;
    } else {
        let key = ground.key_there()?;
        let secret = sitting.key_secret(ground).await?;
        ground.tools.helper.trial(&key, der, secret).await.map_err(|error| trouble::helper(&error, &key))?;
    }
    Ok(Outcome::Verify { accepted })
}

/// The certificates that other programs have made to take the old ones' places, with their keys; `None` while one is missing.
async fn found(ground: &Ground<'_>) -> Result<Option<FoundKeys>, Problem> {
    let start = ground.job.start.clone();
    let made = ground.tools.engine.read(move |state| {
        let made = state.world.made_elsewhere(&start)?;
        Some(made.into_iter().map(|(new, place)| (new.fingerprint, new.key, place)).collect::<Vec<_>>())
    });
    let Some(made) = made.await? else { return Ok(None) };
    let mut found = FoundKeys { keys: Vec::new(), protected: false };
    for (fingerprint, algorithm, place) in made {
        let Some(der) = der(ground, fingerprint).await? else { return Ok(None) };
        found.protected |= is_protected(ground, &place).await?;
        found.keys.push(NewKey { algorithm, place, home: Home::There(Bytes(der)) });
    }
    Ok(Some(found))
}

/// Looks at the cards that are in a reader: what another program writes on one is told by nobody.
async fn look_at_cards(ground: &Ground<'_>) -> Result<(), Problem> {
    let places = ground.job.start.old.iter().map(|old| &old.place).filter(|place| place.scheme().is_card());
    for place in places.collect::<BTreeSet<_>>() {
        match ground.look(place).await {
            Ok(card) => drop(ground.tools.engine.see(vec![crate::cards::sighting(&card)]).await?),
            // It is looked at when it is inserted.
            Err(CardError::Absent {} | CardError::Removed {}) => {}
            Err(error) => return Err(ground.card_problem(&error, place)),
        }
    }
    Ok(())
}

/// Whether a secret opens the key in a place.
async fn is_protected(ground: &Ground<'_>, place: &Place) -> Result<bool, Problem> {
    if place.scheme() != Scheme::File {
        return Ok(true);
    }
    let key = crate::stores::key_file(place).ok_or_else(|| Problem::NoKey { path: place.shown() })?;
    match ground.tools.helper.inspect_key(&key, None).await {
        Ok(_) => Ok(false),
        Err(HelperError::SecretNeeded) => Ok(true),
        Err(error) => Err(trouble::helper(&error, &key)),
    }
}

/// Certificates (DER) that lie in watched places and may be links of this one's chain.
async fn links(ground: &Ground<'_>, certificate: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let certificate = read(certificate)?;
    let known = ground.tools.engine.read(move |state| state.world.links(&certificate)).await?;
    let mut links = Vec::new();
    for fingerprint in known {
        links.extend(der(ground, fingerprint).await?);
    }
    Ok(links)
}

async fn der(ground: &Ground<'_>, fingerprint: Fingerprint) -> Result<Option<Vec<u8>>, Problem> {
    ground.tools.engine.journal().der(fingerprint).await.map_err(|error| crate::engine::journal_problem(&error))
}

async fn page(ground: &Ground<'_>) -> Result<Page, Problem> {
    match ground.authority().await? {
        Issuer::Person { page } => Ok(page),
        // The programme was changed after the renewal had begun.
        _ => Ok(Page { page: None, computer: Computer::This, anchors: None }),
    }
}

fn awaited(page: &Page) -> Problem {
    let address = page.page.as_ref().map_or(NONE, |page| page.as_str());
    Problem::AtPage { page: address.to_owned(), computer: page.computer.as_str().to_owned() }
}

fn read(der: &[u8]) -> Result<Certificate, Problem> {
    Certificate::from_der(der).map_err(|error| Problem::Internal { detail: error.to_string() })
}
