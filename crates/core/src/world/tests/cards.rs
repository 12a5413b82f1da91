//! Certificates on cards: which belong together, and which cards are taken up.

use super::*;

/// Of a programme that renews twins on cards, and of the built-in ones.
fn story() -> Story {
    let text = include_str!("../../../../../tests/fixtures/programmes/card-twins.toml");
    let mut programmes = vec![Programme::parse("card-twins.toml", text).expect("a programme")];
    programmes.extend(crate::programme::built_in().expect("good"));
    let mut story = Story::new();
    story.world = World::new(programmes);
    let entries = story.entries.clone();
    for entry in &entries {
        story.world.apply(entry).expect("legal");
    }
    story
}

/// One of the twins: `usage` are the bits of its `KeyUsage`, bit 1 = nonRepudiation. `address` differs between them, as it may.
fn twin(serial: u8, usage: u16, address: &str) -> Certificate {
    Certificate {
        holder: Fingerprint::of(address.as_bytes()),
        usage: Some(usage),
        ..issued("Anna", serial, "Obnova simulated authority")
    }
}

fn pair() -> (Certificate, Certificate) {
    (twin(1, 0b10, ""), twin(2, 0b101, "anna@example.org"))
}

fn identities(story: &Story, place_of: &str) -> BTreeSet<ItemId> {
    let sight = story.world.sight(&place(place_of)).expect("seen");
    sight.certificates.iter().filter_map(|found| story.world.identity_of(&found.certificate.fingerprint)).collect()
}

#[test]
fn twins_on_one_card_are_one_and_two_cards_are_two() {
    let mut story = story();
    let (qualified, commercial) = pair();
    story.watch("piv:1");
    story.see("piv:1", readable(&[(&qualified, true), (&commercial, true)]));
    let one = identities(&story, "piv:1");
    assert_eq!(one.len(), 1);
    let current = story.world.current(*one.first().expect("one"));
    let mut roles: Vec<&str> = current.iter().map(|member| member.role).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["commercial", "qualified"]);

    let (other_qualified, other_commercial) = (twin(3, 0b10, ""), twin(4, 0b101, "anna@example.org"));
    story.watch("piv:2");
    story.see("piv:2", readable(&[(&other_qualified, true), (&other_commercial, true)]));
    assert!(identities(&story, "piv:2").is_disjoint(&one));
}

#[test]
fn a_certificate_that_was_known_from_a_file_joins_its_twin_when_its_key_is_found_on_the_card() {
    let mut story = story();
    let (qualified, commercial) = pair();
    story.watch("file:/m");
    story.see("file:/m/q.crt", readable(&[(&qualified, false)]));
    let alone = identities(&story, "file:/m/q.crt");
    story.watch("piv:1");
    story.see("piv:1", readable(&[(&commercial, true), (&qualified, true)]));
    let together = identities(&story, "piv:1");
    assert_eq!((together.len(), identities(&story, "file:/m/q.crt")), (1, together.clone()));
    assert!(alone.is_disjoint(&together));
    assert!(story.world.current(*alone.first().expect("one")).is_empty(), "the old identity is gone");
    story.restart();
    assert_eq!(identities(&story, "piv:1"), together, "and it stays so");
}

#[test]
fn a_card_is_taken_up_by_itself_once_and_only_for_a_programme() {
    let mut story = story();
    let (qualified, commercial) = pair();
    let found = |certificate: &Certificate, key| Found { certificate: Arc::new(certificate.clone()), key };
    let card = place("piv:1");
    let both = [found(&qualified, true), found(&commercial, true)];
    assert!(story.world.takes_up(&card, &both));
    assert!(!story.world.takes_up(&card, &[found(&qualified, false)]), "without its key it is not renewed here");
    assert!(!story.world.takes_up(&card, &[found(&own("Anna", 9), true)]), "what people make for themselves is no reason");
    story.watch("piv:1");
    assert!(!story.world.takes_up(&card, &both), "it is watched already");
    story.write(noon(), Record::Unwatched { place: card.clone() });
    assert!(!story.world.takes_up(&card, &both), "somebody said no");
    story.restart();
    assert!(!story.world.takes_up(&card, &both), "and it is remembered");
    story.watch("piv:1");
    story.write(noon(), Record::Unwatched { place: card.clone() });
    assert!(story.world.takes_up(&place("piv:2"), &both), "another card is another question");
}
