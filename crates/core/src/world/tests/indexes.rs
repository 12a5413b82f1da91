//! What is seen comes and goes; the indexes always say what a look at all of it would say.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Certificates that share keys, holders and issuers in all ways.
fn pool() -> Vec<Certificate> {
    let anna = own("Anna", 1);
    let rekeyed = own("Anna", 2);
    let same_key = Certificate { public_key: anna.public_key, ..own("Anna", 3) };
    let root = authority(own("Root", 1));
    vec![anna, rekeyed, same_key, root, issued("Leaf", 1, "Root"), issued("Leaf", 2, "Root"), issued("Other", 1, "Unknown")]
}

/// The model: each place with what is in it, and nothing else.
type Seen = BTreeMap<Place, (Condition, Vec<(Certificate, bool)>)>;

fn conditions() -> [Condition; 4] {
    let problem = Problem::PlaceMissing { path: "/m".into() };
    [Condition::Readable, Condition::Locked, Condition::Changed, Condition::Failed(problem)]
}

fn model(seen: &mut Seen, place: &Place, sight: Option<&Sight>) {
    let before = seen.remove(place);
    let Some(sight) = sight else { return };
    let mut found: Vec<(Certificate, bool)> = Vec::new();
    for Found { certificate, key } in &sight.certificates {
        if found.iter().all(|(other, _)| other.fingerprint != certificate.fingerprint) {
            found.push((Certificate::clone(certificate), *key));
        }
    }
    let mut condition = sight.condition.clone();
    if found.is_empty() && condition != Condition::Readable {
        found = before.map(|(_, found)| found).unwrap_or_default();
        if condition == Condition::Locked && !found.is_empty() {
            condition = Condition::Changed;
        }
    }
    seen.insert(place.clone(), (condition, found));
}

/// Every index is what the sights say, and the sights are the model's.
fn assert_consistent(world: &World, seen: &Seen) {
    assert_eq!(world.places().collect::<BTreeSet<_>>(), seen.keys().collect());
    assert_eq!(world.places().count(), seen.len(), "each place once");
    let mut known: BTreeMap<Fingerprint, (Certificate, BTreeSet<Place>)> = BTreeMap::new();
    let mut keys: BTreeSet<Fingerprint> = BTreeSet::new();
    for (place, (condition, found)) in seen {
        let sight = world.sight(place).expect("seen");
        assert_eq!(&sight.condition, condition, "{place}");
        let there: Vec<_> =
            sight.certificates.iter().map(|found| (Certificate::clone(&found.certificate), found.key)).collect();
        assert_eq!(&there, found, "{place}");
        for (certificate, key) in found {
            let entry = known.entry(certificate.fingerprint).or_insert_with(|| (certificate.clone(), BTreeSet::new()));
            entry.1.insert(place.clone());
            keys.extend(key.then_some(certificate.public_key));
        }
    }

    assert_eq!(world.sights.all_known().count(), known.len());
    let mut identities: BTreeMap<ItemId, BTreeSet<Fingerprint>> = BTreeMap::new();
    let mut issuers: BTreeMap<&str, u32> = BTreeMap::new();
    for (fingerprint, (certificate, places)) in &known {
        assert_eq!(world.certificate(fingerprint), Some(certificate));
        assert_eq!(world.sights.is_key_held(certificate), keys.contains(&certificate.public_key), "{}", certificate.name());
        assert_eq!(&world.places_of(fingerprint).into_iter().collect::<BTreeSet<_>>(), places);
        assert_eq!(world.places_of(fingerprint).len(), places.len(), "each place once");
        let id = identity::id_of("salt", world.programme_of(certificate), certificate, None);
        assert_eq!(world.identity_of(fingerprint), Some(id));
        identities.entry(id).or_default().insert(*fingerprint);
        if certificate.issuer() != certificate.subject() {
            *issuers.entry(certificate.issuer()).or_default() += 1;
        }
    }
    let members = |id| world.sights.members(id).map(|known| known.certificate.fingerprint).collect();
    let there: BTreeMap<ItemId, BTreeSet<Fingerprint>> = world.sights.identities().map(|id| (id, members(id))).collect();
    assert_eq!(there, identities);
    assert_eq!(world.sights.identities().count(), identities.len(), "each once");
    let there: BTreeMap<&str, u32> = world.sights.issuers().collect();
    assert_eq!(there, issuers);
    for certificate in pool() {
        let fingerprint = certificate.fingerprint;
        assert_eq!(world.certificate(&fingerprint).is_some(), known.contains_key(&fingerprint));
        assert_eq!(world.sights.is_key_held(&certificate), keys.contains(&certificate.public_key), "{}", certificate.name());
    }

    let items: BTreeSet<ItemId> = world
        .watches
        .iter()
        .chain(seen.iter().filter(|(_, (condition, _))| *condition != Condition::Readable).map(|(place, _)| place))
        .map(|place| world.place_id(place))
        .collect();
    assert_eq!(world.item_places.keys().copied().collect::<BTreeSet<_>>(), items);
    assert!(world.item_places.iter().all(|(id, place)| world.place_id(place) == *id));

    // One text per issuer, however many certificates name it.
    let mut texts: BTreeMap<&str, &Arc<str>> = BTreeMap::new();
    for issuer in world.sights.all_known().filter_map(|known| known.certificate.texts.other_issuer()) {
        let text = texts.entry(issuer).or_insert(issuer);
        assert!(Arc::ptr_eq(text, issuer), "{text} is held twice");
    }
}

proptest! {
    #[test]
    fn indexes_follow_what_is_seen(
        looks in proptest::collection::vec(
            (0_usize..4, proptest::option::weighted(0.85, (0_usize..4, proptest::collection::vec((0_usize..7, any::<bool>()), 0..5)))),
            1..30,
        )
    ) {
        let mut story = Story::new();
        let mut seen = Seen::new();
        for (at, look) in looks {
            let place = place(&format!("file:/m/{at}.pem"));
            let sight = look.map(|(condition, which)| {
                let pool = pool();
                let found: Vec<(&Certificate, bool)> = which.iter().map(|(index, key)| (&pool[*index], *key)).collect();
                Sight { condition: conditions()[condition].clone(), ..readable(&found) }
            });
            let before: BTreeSet<ItemId> = story.world.places_of_item_certificates(&place);
            let own_item = story.world.place_id(&place);
            let item_before = story.world.item(own_item, noon().fixed_offset());
            model(&mut seen, &place, sight.as_ref());
            let touched = story.world.observe(&place, sight);
            assert_consistent(&story.world, &seen);
            let after = story.world.places_of_item_certificates(&place);
            prop_assert!(touched.is_superset(&before) && touched.is_superset(&after), "whoever shows them is told");
            let item_after = story.world.item(own_item, noon().fixed_offset());
            prop_assert!(item_before == item_after || touched.contains(&own_item));
        }
        for place in seen.keys() {
            story.world.observe(place, None);
        }
        assert_consistent(&story.world, &Seen::new());
    }
}

impl World {
    /// The identities whose certificates are in a place.
    fn places_of_item_certificates(&self, place: &Place) -> BTreeSet<ItemId> {
        let found = self.sight(place).map(|sight| sight.certificates).unwrap_or_default();
        found.iter().filter_map(|found| self.identity_of(&found.certificate.fingerprint)).collect()
    }
}

#[test]
fn the_place_with_the_key_comes_first() {
    let mut story = Story::new();
    let anna = own("Anna", 1);
    story.see("file:/a.pem", readable(&[(&anna, false)]));
    story.see("p12:/z.p12", readable(&[(&anna, true)]));
    story.see("file:/b.pem", readable(&[(&anna, false)]));
    let places = story.world.places_of(&anna.fingerprint);
    assert_eq!(places, [place("p12:/z.p12"), place("file:/a.pem"), place("file:/b.pem")]);
    let item = story.world.item(story.id(&anna), noon().fixed_offset()).expect("an item");
    let crate::item::Kind::Identity { certificates, .. } = item.kind else { panic!("an identity") };
    assert_eq!(certificates, [("general".into(), anna.fingerprint, place("p12:/z.p12"))]);
    assert_eq!(story.world.places_of_item(story.id(&anna)), [place("file:/a.pem"), place("file:/b.pem"), place("p12:/z.p12")]);
}

#[test]
fn what_cannot_be_read_now_is_still_known() {
    let mut story = Story::new();
    let anna = ending(own("Anna", 1), noon() + days(20));
    let now = noon().fixed_offset();
    story.watch("p12:/m/a.p12");
    let at = place("p12:/m/a.p12");
    story.see("p12:/m/a.p12", unreadable(Condition::Locked));
    let item = story.world.item(story.world.place_id(&at), now).expect("the place is an item");
    assert_eq!((item.state, item.next_step.and_then(|next| next.action)), ("locked", Some("unlock")));

    story.see("p12:/m/a.p12", readable(&[(&anna, true)]));
    assert_eq!(story.state(&anna, now), "expiring");
    assert_eq!(story.world.item(story.world.place_id(&at), now), None, "its certificate is shown instead");

    let missing = Problem::PlaceMissing { path: "/m/a.p12".into() };
    for (condition, kept, state) in [
        (Condition::Locked, Condition::Changed, "changed"),
        (Condition::Failed(missing.clone()), Condition::Failed(missing), "unreadable"),
        (Condition::Locked, Condition::Changed, "changed"),
    ] {
        story.see("p12:/m/a.p12", unreadable(condition));
        let sight = story.world.sight(&at).expect("seen");
        assert_eq!((sight.condition, sight.certificates.len()), (kept, 1));
        assert!(sight.certificates[0].key, "its key lies there as before");
        assert_eq!(story.state(&anna, now), state);
        assert_eq!(story.world.due(now).len(), 1, "it ends no less soon");
    }

    // What a look does find counts, even if the whole could not be read.
    let other = own("Boris", 1);
    story.see("p12:/m/a.p12", Sight { condition: Condition::Changed, ..readable(&[(&other, false)]) });
    assert_eq!((story.current(&anna).len(), story.current(&other).len()), (0, 1));
    // Readable and empty: nothing is there any more.
    story.see("p12:/m/a.p12", unreadable(Condition::Readable));
    assert!(story.world.certificate(&other.fingerprint).is_none() && story.world.due(now).is_empty());
    assert_eq!(story.world.item(story.world.place_id(&at), now).expect("watched").state, "empty");
}

#[test]
fn a_hundred_thousand_certificates_are_listed_in_order() {
    const MANY: u32 = 100_000;
    let mut story = Story::new();
    story.watch("file:/m");
    let now = noon().fixed_offset();
    for number in 0..MANY {
        // Spread over the end, so that every level occurs; 7919 is prime, so that the order is not that of the places.
        let left = i64::from(number * 7919 % MANY) - 1000;
        let name = format!("Mailbox {number}");
        let certificate = ending(issued(&name, 1, "Authority"), noon() + Duration::minutes(left * 2));
        story.world.observe(&place(&format!("file:/m/{number}.pem")), Some(readable(&[(&certificate, true)])));
    }
    assert_eq!(story.world.sights.issuers().count(), 1);
    let listing = story.world.listing(false, now);
    assert_eq!(listing.len(), MANY as usize);
    let items: Vec<_> = listing.iter().map(|id| story.world.item(*id, now).expect("listed")).collect();
    let key = |item: &crate::Item| (std::cmp::Reverse(item.level), item.deadline, item.id);
    assert!(items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])), "the most urgent first, each once");
    assert_eq!((items[0].level, items[MANY as usize - 1].level), (crate::Level::Critical, crate::Level::Ok));
}
