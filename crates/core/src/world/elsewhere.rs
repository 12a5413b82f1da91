//! What other tools renew, as the world sees it: their certificates are watched, and told of when the tool is late.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::notices::life;
use crate::certificate::Certificate;
use crate::elsewhere::Elsewhere;
use crate::item::ItemId;
use crate::place::Place;
use crate::schedule::Life;

impl World {
    /// From now on the certificates in these places are renewed by other tools. The ids of the items that may look otherwise now.
    pub fn renew_elsewhere(&mut self, places: BTreeMap<Place, Elsewhere>) -> BTreeSet<ItemId> {
        let before = std::mem::replace(&mut self.elsewhere, places);
        let changed = |place: &&Place| before.get(*place) != self.elsewhere.get(*place);
        let changed: BTreeSet<&Place> = before.keys().chain(self.elsewhere.keys()).filter(changed).collect();
        let looks = changed.into_iter().filter_map(|place| self.sights.look(place));
        looks.flat_map(|look| self.sights.found(look)).map(|(known, _)| known.identity).collect()
    }

    /// Who renews this certificate instead of us: it lies where a tool keeps it, and perhaps elsewhere, too.
    pub fn elsewhere(&self, certificate: &Certificate) -> Option<&Elsewhere> {
        if self.elsewhere.is_empty() {
            return None;
        }
        let known = self.sights.known(&certificate.fingerprint)?;
        self.sights.places(known).find_map(|(look, _)| self.elsewhere.get(&look.place))
    }

    /// A certificate's life as the schedule sees it.
    pub(super) fn life(&self, certificate: &Certificate) -> Life {
        let life = life(certificate);
        let late = self.elsewhere(certificate).map(|elsewhere| elsewhere.late(life.not_before, life.not_after));
        let revoked = self.revoked(&certificate.fingerprint).is_some();
        // What it stands on may end before it does.
        let end = self.authority_ends(certificate).map_or(life.not_after, |(end, _)| end);
        Life { silent_until: late, revoked, not_after: end, deadline: life.deadline.min(end), ..life }
    }
}
