//! Which of the keys on a card are explained by what is known: those of watched certificates, and those that renewals made.

use super::World;
use crate::card::{Presence, SpotState};
use crate::certificate::Fingerprint;
use crate::job::{Home, Job};
use crate::place::Place;

impl World {
    /// Whether what lies in a spot is a certificate that is watched or was replaced, or a key that one of our renewals made or
    /// set the spot aside for. An empty spot needs no explanation; anything else that is not explained belongs to others, who
    /// may need it.
    pub fn explains(&self, place: &Place, state: &SpotState) -> bool {
        if let Some(der) = &state.certificate {
            let fingerprint = Fingerprint::of(&der.0);
            if self.certificate(&fingerprint).is_some() || self.retired.contains_key(&fingerprint) {
                return true;
            }
        }
        let made = |job: &Job, key: &[u8]| (0..job.start.old.len()).any(|member| job.public_key(member) == Some(key));
        let reserved = |job: &Job| {
            let keys = job.preflight().map(|(keys, _)| keys).unwrap_or_default();
            keys.iter().any(|key| {
                key.place == *place && matches!(&key.home, Home::Card(reservation) if reservation.spot == state.spot)
            })
        };
        match &state.key {
            Presence::Free | Presence::Unproven => state.certificate.is_none(),
            Presence::Key(key) => self.jobs.values().any(|job| made(job, &key.0) || reserved(job)),
            Presence::Unknown => self.jobs.values().any(reserved),
        }
    }
}
