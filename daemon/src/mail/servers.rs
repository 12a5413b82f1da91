//! Which mail server a domain names for its addresses (RFC 6186, RFC 8314 section 5.1). Whether it may be believed is the daemon's to say.

use obnova_core::mailbox::Security;

use super::Resolver;
use crate::courier::protocol::Host;

/// The first server that a domain names: one that is encrypted from the first byte before one that is by STARTTLS. `None`: it names none,
/// or nobody could be asked.
pub async fn of(domain: &str, resolver: &Resolver) -> Option<Host> {
    for (service, security) in [("_imaps", Security::Tls), ("_imap", Security::StartTls)] {
        let found = resolver.servers(&format!("{service}._tcp.{domain}")).await.unwrap_or_default();
        if let Some((host, port)) = found.into_iter().next() {
            return Some(Host { host, port, security });
        }
    }
    None
}
