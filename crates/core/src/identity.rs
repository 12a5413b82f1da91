//! Which certificates belong together, and which of them is the current one.

use crate::certificate::{Certificate, Fingerprint};
use crate::item::ItemId;
use crate::place::Place;
use crate::programme::Programme;

/// A certificate as a member of its identity.
#[derive(Clone, Copy, Debug)]
pub struct Member<'world> {
    /// The certificate.
    pub certificate: &'world Certificate,
    /// Its role.
    pub role: &'world str,
    /// We hold its private key.
    pub key_held: bool,
}

/// The id of the identity that a certificate belongs to: those of one programme and one holder (subject and alternative
/// names), or of one mailbox. Without a programme, the issuer tells identities apart, too.
///
/// `card`: where its key is, if that is on a card; two cards of one person are two identities. Certificates of a programme with
/// several roles, which stand together on one card, may differ in their alternative names: the name of their holder unites them.
pub fn id_of(salt: &str, programme: Option<&Programme>, certificate: &Certificate, card: Option<&Place>) -> ItemId {
    let holder: &[u8] = &certificate.holder.0;
    // A mailbox stays what it is when its visiting card changes.
    let mailbox = programme.and_then(|programme| programme.visiting_card_of(certificate));
    if let (Some(programme), Some(card)) = (programme, mailbox) {
        return ItemId::derive(salt, &[b"mailbox", programme.name.as_bytes(), card.mailbox.as_bytes()]);
    }
    match (programme, card) {
        (Some(programme), Some(card)) if programme.matching.len() > 1 => {
            let parts = [programme.name.as_bytes(), card.as_str().as_bytes(), certificate.name().as_bytes()];
            ItemId::derive(salt, &[b"twins", parts[0], parts[1], parts[2]])
        }
        (Some(programme), Some(card)) => {
            ItemId::derive(salt, &[b"on-card", programme.name.as_bytes(), card.as_str().as_bytes(), holder])
        }
        (Some(programme), None) => ItemId::derive(salt, &[b"identity", programme.name.as_bytes(), holder]),
        (None, Some(card)) => {
            ItemId::derive(salt, &[b"on-card", card.as_str().as_bytes(), certificate.issuer().as_bytes(), holder])
        }
        (None, None) => ItemId::derive(salt, &[b"certificate", certificate.issuer().as_bytes(), holder]),
    }
}

/// Whether `later` takes the place of `earlier` in their identity: same role, later start of validity, key held.
pub fn succeeds(later: &Member<'_>, earlier: &Member<'_>) -> bool {
    later.role == earlier.role && later.key_held && later.certificate.not_before > earlier.certificate.not_before
}

/// The members that no other succeeds, those that end first coming first.
pub fn current<'world>(members: &[Member<'world>]) -> Vec<Member<'world>> {
    let mut current: Vec<_> =
        members.iter().filter(|member| !members.iter().any(|other| succeeds(other, member))).copied().collect();
    current.sort_by_key(|member| (member.certificate.not_after, member.certificate.fingerprint));
    current
}

/// The fingerprints of the members that have a successor.
pub fn superseded(members: &[Member<'_>]) -> Vec<Fingerprint> {
    let has_successor = |member: &&Member<'_>| members.iter().any(|other| succeeds(other, member));
    members.iter().filter(has_successor).map(|member| member.certificate.fingerprint).collect()
}
