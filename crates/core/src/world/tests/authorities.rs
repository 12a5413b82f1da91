//! Who is warned about: the current certificate of each identity, and no authority's.

use super::*;

/// Whether the certificate, which is near its end, is warned about.
fn warned(story: &Story, certificate: &Certificate) -> bool {
    let now = (certificate.not_after - days(1)).fixed_offset();
    story.world.due(now).iter().any(|notice| notice.certificate == certificate.fingerprint)
}

fn later(certificate: Certificate) -> Certificate {
    let (not_before, not_after) = (certificate.not_before + days(300), certificate.not_after + days(300));
    Certificate { not_before, not_after, ..certificate }
}

#[test]
fn a_successor_has_the_same_holder_and_a_key_of_ours() {
    let anna = own("Anna", 1);
    let next = later(own("Anna", 2));
    for (what, other, key, succeeded) in [
        ("later, with its key", next.clone(), true, true),
        ("without its key", next.clone(), false, false),
        ("another holder", later(own("Boris", 2)), true, false),
        ("another address", Certificate { holder: Fingerprint::of(b"elsewhere"), ..next.clone() }, true, false),
        ("another programme", Certificate { texts: issued("Anna", 2, "Authority").texts, ..next.clone() }, true, false),
        ("the same beginning", Certificate { not_before: anna.not_before, ..next.clone() }, true, false),
        ("an earlier beginning", Certificate { not_before: anna.not_before - days(1), ..next.clone() }, true, false),
    ] {
        let mut story = Story::new();
        story.see("p12:/m/1.p12", readable(&[(&anna, true)]));
        assert!(warned(&story, &anna));
        story.see("p12:/m/2.p12", readable(&[(&other, key)]));
        assert_eq!(warned(&story, &anna), !succeeded, "{what}");
        assert_eq!(story.current(&anna).contains(&anna.fingerprint), !succeeded, "{what}");
        story.world.observe(&place("p12:/m/2.p12"), None);
        assert!(warned(&story, &anna), "{what}: without it all is as before");
    }
}

#[test]
fn the_key_of_a_successor_may_lie_elsewhere() {
    let (anna, next) = (own("Anna", 1), later(own("Anna", 2)));
    let mut story = Story::new();
    story.see("file:/m/1.pem", readable(&[(&anna, true)]));
    story.see("file:/m/2.crt", readable(&[(&next, false)]));
    assert_eq!(story.current(&anna), [anna.fingerprint, next.fingerprint]);
    story.see("p12:/m/2.p12", readable(&[(&next, true)]));
    assert_eq!(story.current(&anna), [next.fingerprint]);
}

/// Roles are told apart by the rule itself: no built-in programme has two.
#[test]
fn a_successor_has_the_same_role() {
    let (anna, next) = (own("Anna", 1), later(own("Anna", 2)));
    let member = |certificate, role| Member { certificate, role, key_held: true };
    assert!(identity::succeeds(&member(&next, "commercial"), &member(&anna, "commercial")));
    assert!(!identity::succeeds(&member(&next, "qualified"), &member(&anna, "commercial")));
    let members = [member(&anna, "commercial"), member(&anna, "qualified"), member(&next, "commercial")];
    assert_eq!(identity::superseded(&members), [anna.fingerprint]);
    let current: Vec<_> =
        identity::current(&members).iter().map(|member| (member.role, member.certificate.serial()[0])).collect();
    assert_eq!(current, [("qualified", 1), ("commercial", 2)], "what ends first comes first");
}

#[test]
fn an_authority_that_issued_something_found_is_silent() {
    let (root, leaf) = (authority(own("Root", 1)), issued("Leaf", 1, "Root"));
    let mut story = Story::new();
    story.watch("file:/m");
    story.see("file:/m/root.pem", readable(&[(&root, true)]));
    assert!(warned(&story, &root), "it stands alone: for all we know it is a mailbox's");
    story.see("file:/m/leaf.pem", readable(&[(&leaf, true)]));
    assert!(!warned(&story, &root) && warned(&story, &leaf));
    assert_eq!(story.world.item(story.id(&root), noon().fixed_offset()), None, "nor is it shown");
    story.world.observe(&place("file:/m/leaf.pem"), None);
    assert!(warned(&story, &root));
}

#[test]
fn an_intermediate_authority_is_silent_too() {
    let root = authority(own("Root", 1));
    let middle = authority(issued("Middle", 1, "Root"));
    let leaf = issued("Leaf", 1, "Middle");
    let mut story = Story::new();
    story.watch("file:/m/chain.pem");
    story.see("file:/m/chain.pem", readable(&[(&leaf, true), (&middle, false), (&root, false)]));
    assert_eq!([&leaf, &middle, &root].map(|one| warned(&story, one)), [true, false, false]);
}

#[test]
fn what_is_no_authority_is_warned_about_whoever_names_it() {
    // CA:FALSE: a certificate by the name of its subject makes no authority of it.
    let (anna, leaf) = (own("Anna", 1), issued("Leaf", 1, "Anna"));
    let mut story = Story::new();
    story.see("file:/m/a.pem", readable(&[(&anna, true)]));
    story.see("file:/m/b.pem", readable(&[(&leaf, true)]));
    assert!(warned(&story, &anna) && warned(&story, &leaf));
}

#[test]
fn a_self_made_certificate_that_calls_itself_authority_is_warned_about() {
    // `openssl req -x509` writes CA:TRUE into everything that it makes; so it is in the renewed one.
    let (first, second) = (authority(own("Mail", 1)), later(authority(own("Mail", 2))));
    let mut story = Story::new();
    story.watch("file:/m");
    story.see("file:/m/1.pem", readable(&[(&first, true)]));
    assert!(warned(&story, &first));
    story.see("file:/m/2.pem", readable(&[(&second, true)]));
    assert!(!warned(&story, &first), "it has a successor");
    assert!(warned(&story, &second), "the older one of the same name was not issued by it");
}

#[test]
fn who_names_an_authority_is_warned_about_it() {
    let (root, leaf) = (authority(own("Root", 1)), issued("Leaf", 1, "Root"));
    let mut story = Story::new();
    story.watch("file:/m/root.pem");
    story.watch("file:/m/leaf.pem");
    story.see("file:/m/root.pem", readable(&[(&root, false)]));
    story.see("file:/m/leaf.pem", readable(&[(&leaf, true)]));
    assert!(warned(&story, &root) && warned(&story, &leaf));
}

#[test]
fn who_names_a_chain_means_its_leaf() {
    let (root, leaf) = (authority(own("Root", 1)), issued("Leaf", 1, "Root"));
    let mut story = Story::new();
    story.watch("file:/m/chain.pem");
    story.see("file:/m/chain.pem", readable(&[(&leaf, true), (&root, false)]));
    assert!(!warned(&story, &root) && warned(&story, &leaf));
    // That it lies elsewhere too, where nobody named it, changes nothing.
    story.watch("file:/other");
    story.see("file:/other/root.pem", readable(&[(&root, false)]));
    assert!(!warned(&story, &root));
    story.watch("file:/other/root.pem");
    assert!(warned(&story, &root), "now somebody names it alone");
}

#[test]
fn a_bundle_of_authorities_is_silent() {
    let roots: Vec<Certificate> = (0..20).map(|number| authority(own(&format!("Root {number}"), 1))).collect();
    let bundle = |key| readable(&roots.iter().map(|root| (root, key)).collect::<Vec<_>>());
    let mut story = Story::new();
    story.watch("file:/etc/ssl");
    story.see("file:/etc/ssl/ca.pem", bundle(false));
    assert!(!roots.iter().any(|root| warned(&story, root)));
    story.see("file:/etc/ssl/ca.pem", bundle(true));
    assert!(roots.iter().all(|root| warned(&story, root)), "whose key we hold is ours");
}
