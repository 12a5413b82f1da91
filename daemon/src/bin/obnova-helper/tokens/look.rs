//! Tells what is on a token, without any PIN. Judges nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use cryptoki::object::{AttributeType, ObjectClass};
use obnova_core::card::{Card, CardKind, Presence, SpotState};
use obnova_core::job::Bytes;
use obnovad::cards::step::CardError;
use openssl::pkey::{PKey, Public};
use openssl::x509::X509;

use super::module::Token;
use super::{objects, pins, public_keys};

/// The token as a card. Each certificate is a spot of its own, so that two certificates for one key are the same spot twice, the
/// younger one first; and so is each key that has none.
pub(super) fn card(token: &Token) -> Result<Card, CardError> {
    let (info, id) = (&token.info, token.id());
    let [model, serial, label] = [id.model, id.serial, id.token].map(Option::unwrap_or_default);
    Ok(Card {
        place: token.place(),
        kind: CardKind::Token,
        label: if label.is_empty() { format!("{model} {serial}").trim().to_owned() } else { label },
        model,
        serial,
        reader: token.reader.clone(),
        pin: pins::tries(info.user_pin_locked(), info.user_pin_final_try()),
        puk: pins::tries(info.so_pin_locked(), info.so_pin_final_try()),
        pin_length: pins::lengths(info),
        pin_pad: info.protected_authentication_path(),
        algorithms: token.algorithms()?,
        spots: spots(token)?,
    })
}

fn spots(token: &Token) -> Result<Vec<SpotState>, CardError> {
    let session = token.session(false)?;
    let mut public: BTreeMap<Vec<u8>, Vec<Option<PKey<Public>>>> = BTreeMap::new();
    for (id, object) in objects::of_class(&session, ObjectClass::PUBLIC_KEY)? {
        public.entry(id).or_default().push(public_keys::of_object(&session, object)?);
    }
    // Hardly a token shows these before the PIN is given.
    let mut always: BTreeMap<Vec<u8>, Option<bool>> = BTreeMap::new();
    for (id, object) in objects::of_class(&session, ObjectClass::PRIVATE_KEY)? {
        always.insert(id, objects::flag(&session, object, AttributeType::AlwaysAuthenticate)?);
    }
    let mut certificates = Vec::new();
    for (id, object) in objects::of_class(&session, ObjectClass::CERTIFICATE)? {
        let der = objects::bytes(&session, object, AttributeType::Value)?;
        let parsed = der.as_ref().and_then(|der| X509::from_der(der).ok());
        certificates.push((id, der.filter(|_| parsed.is_some()), parsed));
    }
    certificates.sort_by(|(a, _, first), (b, _, second)| a.cmp(b).then_with(|| younger_first(first.as_ref(), second.as_ref())));

    let state = |id: &[u8], key, certificate: Option<Vec<u8>>| SpotState {
        spot: objects::spot_of(id),
        key,
        certificate: certificate.map(Bytes),
        always: always.get(id).copied().flatten(),
        touch: false,
    };
    let certified: BTreeSet<Vec<u8>> = certificates.iter().map(|(id, ..)| id.clone()).collect();
    let mut spots = Vec::new();
    for (id, der, parsed) in certificates {
        let own = parsed.and_then(|certificate| certificate.public_key().ok());
        let beside = public.get(&id).map_or(&[][..], Vec::as_slice);
        let key = if id.is_empty() { Presence::Unknown } else { presence(own, beside) };
        spots.push(state(&id, key, der));
    }
    let keys: BTreeSet<&Vec<u8>> = public.keys().chain(always.keys()).collect();
    for id in keys.into_iter().filter(|id| !certified.contains(*id)) {
        let key = match public.get(id).map(Vec::as_slice) {
            Some([Some(key)]) if !id.is_empty() => told(key),
            _ => Presence::Unknown,
        };
        spots.push(state(id, key, None));
    }
    spots.sort_by(|first, second| first.spot.cmp(&second.spot));
    Ok(spots)
}

/// The key beside a certificate: the certificate's own, unless public key objects contradict.
fn presence(own: Option<PKey<Public>>, beside: &[Option<PKey<Public>>]) -> Presence {
    let Some(own) = own else { return Presence::Unknown };
    let agrees = |key: &Option<PKey<Public>>| key.as_ref().is_some_and(|key| key.public_eq(&own));
    if beside.is_empty() || beside.iter().any(agrees) { told(&own) } else { Presence::Unknown }
}

fn told(key: &PKey<Public>) -> Presence {
    key.public_key_to_der().map_or(Presence::Unknown, |der| Presence::Key(Bytes(der)))
}

fn younger_first(first: Option<&X509>, second: Option<&X509>) -> std::cmp::Ordering {
    match (first, second) {
        (Some(first), Some(second)) => second.not_before().compare(first.not_before()).unwrap_or(std::cmp::Ordering::Equal),
        _ => second.is_some().cmp(&first.is_some()),
    }
}
