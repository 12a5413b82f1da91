//! What was seen in which place, and every index over it. Owns that they agree; what it means for anybody is the world's.
//!
//! A hundred thousand certificates fit into a modest process because each is kept once, in a slot: the indexes hold numbers
//! of slots, and what they look for they read there. What comes from outside is hashed under a key of this process, so that
//! nobody can make many certificates fall together.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::slots::{Few, Slot, Slots};
use crate::certificate::{Certificate, Fingerprint};
use crate::item::ItemId;
use crate::place::Place;
use crate::problem::Problem;

/// What was seen in a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Whether it could be read.
    pub condition: Condition,
    /// The certificates in it; where it could not be read, the last that were known.
    pub certificates: Vec<Found>,
}

/// Whether a place could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It could.
    Readable,
    /// Its password was never at hand.
    Locked,
    /// It has changed since it was last opened, and its password is not at hand.
    Changed,
    /// It could not, for this reason.
    Failed(Problem),
}

/// A certificate in a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Its private key lies with it.
    pub key: bool,
}

/// A place, and the [`Sight`] of it as it is kept: small, since nearly all places are readable and hold one certificate.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) place: Place,
    /// The condition, unless it is that the place is readable.
    odd: Option<Box<Condition>>,
    found: Few<Lying>,
}

/// A certificate in a place, by its slot.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lying {
    known: Slot,
    key: bool,
}

impl Look {
    pub(super) fn condition(&self) -> &Condition {
        self.odd.as_deref().unwrap_or(&Condition::Readable)
    }

    /// It could not be read whole.
    pub(super) fn is_odd(&self) -> bool {
        self.odd.is_some()
    }

    /// How many certificates are in it.
    pub(super) fn holds(&self) -> usize {
        self.found.as_slice().len()
    }
}

/// A certificate that is known: it is in some place.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) certificate: Certificate,
    pub(super) identity: ItemId,
    /// The next certificate of the same identity.
    next: Option<Slot>,
    /// In how many places its key lies with it.
    keys: u32,
    places: Few<Slot>,
}

/// All sights.
#[derive(Debug)]
pub(super) struct Sights {
    known: Slots<Known>,
    looks: Slots<Look>,
    by_fingerprint: HashTable<Slot>,
    /// Those certificates whose key lies with them somewhere, by its public half.
    by_key: HashTable<Slot>,
    /// The first certificate of each identity; the others follow it.
    by_identity: HashTable<Slot>,
    by_place: HashTable<Slot>,
    /// How many certificates of other subjects name this issuer. They share this one text.
    issuers: HashMap<Arc<str>, u32>,
    hashing: RandomState,
}

impl Sights {
    pub(super) fn new() -> Self {
        Self {
            known: Slots::new(),
            looks: Slots::new(),
            by_fingerprint: HashTable::new(),
            by_key: HashTable::new(),
            by_identity: HashTable::new(),
            by_place: HashTable::new(),
            issuers: HashMap::new(),
            hashing: RandomState::new(),
        }
    }

    /// Takes note of what is now in a place; `None`: nothing is, or nobody wants to know. `identity_of` says to which identity
    /// a certificate belongs that was not known, or whose key is on this card.
    ///
    /// The identities of all certificates that were or are there; and whether the place could not be read whole, then or now.
    pub(super) fn replace(
        &mut self,
        place: &Place,
        sight: Option<Sight>,
        identity_of: impl Fn(&Certificate, Option<&Place>) -> ItemId,
    ) -> (BTreeSet<ItemId>, bool) {
        let mut touched = BTreeSet::new();
        let hash = self.hash_of_place(place);
        let was_odd = self.clear(place, hash, &mut touched);
        let Some(Sight { condition, certificates }) = sight else { return (touched, was_odd) };
        let odd = (condition != Condition::Readable).then(|| Box::new(condition));
        let is_odd = odd.is_some();
        let mut found = Few::default();
        let at = self.looks.insert(Look { place: place.clone(), odd, found: Few::default() });
        for Found { certificate, key } in certificates {
            let card = (key && place.scheme().is_card()).then_some(place);
            let slot = match self.slot_of(&certificate.fingerprint) {
                // A file may hold the same certificate twice.
                Some(slot) if found.as_slice().iter().any(|lying: &Lying| lying.known == slot) => continue,
                Some(slot) => {
                    // Known from elsewhere before its key was found on the card: from now on it is one of the card's.
                    if card.is_some() {
                        touched.extend(self.rehome(slot, identity_of(&certificate, card)));
                    }
                    slot
                }
                None => {
                    let identity = identity_of(&certificate, card);
                    self.learn(Arc::unwrap_or_clone(certificate), identity)
                }
            };
            found.push(Lying { known: slot, key });
            let Some(known) = self.known.get_mut(slot) else { continue };
            known.places.push(at);
            touched.insert(known.identity);
            if key {
                self.add_key(slot);
            }
        }
        if let Some(look) = self.looks.get_mut(at) {
            look.found = found;
        }
        let (looks, hashing) = (&self.looks, &self.hashing);
        self.by_place.insert_unique(hash, at, |slot| looks.get(*slot).map_or(0, |look| hashing.hash_one(look.place.as_str())));
        (touched, was_odd || is_odd)
    }

    /// Forgets what was seen in a place; whether it could not be read whole.
    fn clear(&mut self, place: &Place, hash: u64, touched: &mut BTreeSet<ItemId>) -> bool {
        let Ok(entry) = self.by_place.find_entry(hash, |slot| self.looks.is(*slot, |look| look.place == *place)) else {
            return false;
        };
        let (at, _) = entry.remove();
        let Some(look) = self.looks.remove(at) else { return false };
        for Lying { known: slot, key } in look.found.as_slice().iter().copied() {
            if key {
                self.remove_key(slot);
            }
            let Some(known) = self.known.get_mut(slot) else { continue };
            touched.insert(known.identity);
            known.places.remove(at);
            if known.places.as_slice().is_empty() {
                self.unlearn(slot);
            }
        }
        look.is_odd()
    }

    fn learn(&mut self, mut certificate: Certificate, identity: ItemId) -> Slot {
        if let Some(issuer) = certificate.texts.other_issuer_mut() {
            if let Some((shared, _)) = self.issuers.get_key_value(issuer) {
                *issuer = Arc::clone(shared);
            }
            *self.issuers.entry(Arc::clone(issuer)).or_default() += 1;
        }
        let hash = self.hash_of(&certificate.fingerprint);
        let slot = self.known.insert(Known { certificate, identity, next: None, keys: 0, places: Few::default() });
        let (known, hashing) = (&self.known, &self.hashing);
        let digest = |known: &Known| hashing.hash_one(prefix(&known.certificate.fingerprint));
        self.by_fingerprint.insert_unique(hash, slot, |slot| known.get(*slot).map_or(0, digest));
        self.join(slot, identity);
        slot
    }

    fn unlearn(&mut self, slot: Slot) {
        self.leave(slot);
        let Some(Known { certificate, .. }) = self.known.remove(slot) else { return };
        if let Some(issuer) = certificate.texts.other_issuer() {
            decrement(&mut self.issuers, issuer);
        }
        let hash = self.hash_of(&certificate.fingerprint);
        if let Ok(entry) = self.by_fingerprint.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }

    /// Makes a certificate that is in no identity a member of this one: its first.
    fn join(&mut self, slot: Slot, identity: ItemId) {
        let known = &self.known;
        let is_head = |head: &Slot| known.is(*head, |known| known.identity == identity);
        let next = if let Some(head) = self.by_identity.find_mut(identity.0, is_head) {
            Some(std::mem::replace(head, slot))
        } else {
            let rehash = |slot: &Slot| known.get(*slot).map_or(0, |known| known.identity.0);
            self.by_identity.insert_unique(identity.0, slot, rehash);
            None
        };
        if let Some(known) = self.known.get_mut(slot) {
            (known.identity, known.next) = (identity, next);
        }
    }

    /// Takes a certificate out of its identity.
    fn leave(&mut self, slot: Slot) {
        let Some((identity, next)) = self.known.get(slot).map(|known| (known.identity, known.next)) else { return };
        match (self.by_identity.find_entry(identity.0, |head| *head == slot), next) {
            (Ok(mut head), Some(next)) => *head.get_mut() = next,
            (Ok(head), None) => drop(head.remove()),
            (Err(_), _) => {
                let before = self.slots_of(identity).find(|before| self.known.is(*before, |known| known.next == Some(slot)));
                if let Some(before) = before.and_then(|before| self.known.get_mut(before)) {
                    before.next = next;
                }
            }
        }
    }

    /// Moves a certificate to another identity; the one that it leaves, if it does.
    fn rehome(&mut self, slot: Slot, identity: ItemId) -> Option<ItemId> {
        let before = self.known.get(slot)?.identity;
        if before == identity {
            return None;
        }
        self.leave(slot);
        self.join(slot, identity);
        Some(before)
    }

    fn add_key(&mut self, slot: Slot) {
        let Some(known) = self.known.get_mut(slot) else { return };
        known.keys += 1;
        if known.keys == 1 {
            let hash = self.hashing.hash_one(prefix(&known.certificate.public_key));
            let (known, hashing) = (&self.known, &self.hashing);
            let digest = |known: &Known| hashing.hash_one(prefix(&known.certificate.public_key));
            self.by_key.insert_unique(hash, slot, |slot| known.get(*slot).map_or(0, digest));
        }
    }

    fn remove_key(&mut self, slot: Slot) {
        let Some(known) = self.known.get_mut(slot) else { return };
        known.keys -= 1;
        if known.keys == 0 {
            let hash = self.hashing.hash_one(prefix(&known.certificate.public_key));
            if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
        }
    }

    /// What was seen in a place.
    pub(super) fn look(&self, place: &Place) -> Option<&Look> {
        let slot = self.by_place.find(self.hash_of_place(place), |slot| self.looks.is(*slot, |look| look.place == *place))?;
        self.looks.get(*slot)
    }

    /// What was seen in all places, shuffled: whoever looks for any in a large directory finds one soon.
    pub(super) fn looks(&self) -> impl Iterator<Item = &Look> {
        self.by_place.iter().filter_map(|slot| self.looks.get(*slot))
    }

    /// The certificates in a place, and whether their key lies with them.
    pub(super) fn found(&self, look: &Look) -> impl Iterator<Item = (&Known, bool)> {
        look.found.as_slice().iter().filter_map(|lying| Some((self.known.get(lying.known)?, lying.key)))
    }

    /// A certificate that is in some place.
    pub(super) fn known(&self, fingerprint: &Fingerprint) -> Option<&Known> {
        self.slot_of(fingerprint).and_then(|slot| self.known.get(slot))
    }

    /// All certificates that are in some place, in no order.
    pub(super) fn all_known(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }

    /// The issuers of certificates of other subjects, and of how many.
    #[cfg(test)]
    pub(super) fn issuers(&self) -> impl Iterator<Item = (&str, u32)> {
        self.issuers.iter().map(|(issuer, certificates)| (issuer.as_ref(), *certificates))
    }

    /// The places where a certificate is, in no order, and whether its key lies with it there.
    pub(super) fn places(&self, known: &Known) -> impl Iterator<Item = (&Look, bool)> {
        known.places.as_slice().iter().filter_map(move |slot| {
            let look = self.looks.get(*slot)?;
            let key = self.found(look).any(|(other, key)| key && std::ptr::eq(other, known));
            Some((look, key))
        })
    }

    /// Whether the private key of this certificate lies somewhere, with whatever certificate.
    pub(super) fn is_key_held(&self, certificate: &Certificate) -> bool {
        let same = |known: &Known| known.certificate.public_key == certificate.public_key;
        self.by_key.find(self.hash_of(&certificate.public_key), |slot| self.known.is(*slot, same)).is_some()
    }

    /// Whether a known certificate of another subject names this issuer.
    pub(super) fn has_issued(&self, issuer: &str) -> bool {
        self.issuers.contains_key(issuer)
    }

    /// The identities to which known certificates belong, in no order.
    pub(super) fn identities(&self) -> impl Iterator<Item = ItemId> {
        self.by_identity.iter().filter_map(|head| self.known.get(*head)).map(|known| known.identity)
    }

    /// The known certificates of an identity, in no order.
    pub(super) fn members(&self, identity: ItemId) -> impl Iterator<Item = &Known> {
        self.slots_of(identity).filter_map(|slot| self.known.get(slot))
    }

    fn slots_of(&self, identity: ItemId) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.head(identity), |slot| self.known.get(*slot)?.next)
    }

    /// The first certificate of an identity. Ids are digests under a salt that nobody knows: they are hashes already.
    fn head(&self, identity: ItemId) -> Option<Slot> {
        self.by_identity.find(identity.0, |slot| self.known.is(*slot, |known| known.identity == identity)).copied()
    }

    fn slot_of(&self, fingerprint: &Fingerprint) -> Option<Slot> {
        let same = |known: &Known| known.certificate.fingerprint == *fingerprint;
        self.by_fingerprint.find(self.hash_of(fingerprint), |slot| self.known.is(*slot, same)).copied()
    }

    fn hash_of(&self, digest: &Fingerprint) -> u64 {
        self.hashing.hash_one(prefix(digest))
    }

    fn hash_of_place(&self, place: &Place) -> u64 {
        self.hashing.hash_one(place.as_str())
    }
}

/// As much of a digest as tells digests apart: nobody makes many that agree in it.
fn prefix(digest: &Fingerprint) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    u64::from_ne_bytes(first)
}

fn decrement(counts: &mut HashMap<Arc<str>, u32>, key: &Arc<str>) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
