//! Which certificates belong together, and which of them is the current one.

use crate::certificate::{Certificate, Fingerprint};
use crate::item::ItemId;

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
/// names). Without a programme, the issuer tells identities apart, too.
pub fn id_of(salt: &str, programme: Option<&str>, certificate: &Certificate) -> ItemId {
    let holder: &[u8] = &certificate.holder.0;
    match programme {
        Some(name) => ItemId::derive(salt, &[b"identity", name.as_bytes(), holder]),
        None => ItemId::derive(salt, &[b"certificate", certificate.issuer().as_bytes(), holder]),
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
