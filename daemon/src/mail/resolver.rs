//! Questions to the domain name system, for what mails need of it: the texts under a name. Owns who is asked and for how long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::hickory_resolver::net::{DnsError, NetError};
use mail_auth::hickory_resolver::proto::rr::{Name, RData};
use mail_auth::hickory_resolver::system_conf::read_system_conf;
use tokio::sync::OnceCell;

use crate::companions::Bytes;
use crate::courier::protocol::Names;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// The most texts of one name, and the longest of them in bytes, that are looked at.
const MOST: (usize, usize) = (8, 8 * 1024);

/// Who is asked for texts.
pub struct Resolver {
    source: Source,
    /// What verifies, given the answers: it asks nobody.
    verifier: OnceLock<MessageAuthenticator>,
}

enum Source {
    /// A server: this one, or those that the system names. The connection is made when something is asked.
    Server(Option<SocketAddr>, Box<OnceCell<TokioResolver>>),
    /// These names and no others.
    Zone(BTreeMap<String, Vec<Bytes>>),
}

/// Nobody could be asked, or nobody answered: it may be otherwise later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

impl Resolver {
    /// Asks these.
    pub fn new(names: Names) -> Self {
        let source = match names {
            Names::System => Source::Server(None, Box::default()),
            Names::Server(server) => Source::Server(Some(server), Box::default()),
            Names::Zone(zone) => Source::Zone(zone),
        };
        Self { source, verifier: OnceLock::new() }
    }

    /// What verifies signatures, made once: that takes as long as a hundred mails. `None` where it cannot be made.
    pub(super) fn verifier(&self) -> Option<&MessageAuthenticator> {
        if self.verifier.get().is_none() {
            // No server: all that it asks for is answered before it would ask one.
            let made = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default());
            let made = made.inspect_err(|error| tracing::warn!(%error, "signatures of mails cannot be verified")).ok()?;
            return Some(self.verifier.get_or_init(|| made));
        }
        self.verifier.get()
    }

    /// The texts under a name (RFC 1035 section 3.3.14), each in one piece; none if there are none.
    pub async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, Unanswered> {
        match &self.source {
            Source::Zone(zone) => Ok(zone.get(&name.to_lowercase()).into_iter().flatten().map(|text| text.to_vec()).collect()),
            Source::Server(server, resolver) => {
                let resolver = resolver.get_or_try_init(|| async { build(*server) }).await.map_err(unanswered)?;
                // A name that cannot be one has no texts.
                let Ok(name) = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))) else { return Ok(Vec::new()) };
                match tokio::time::timeout(PATIENCE, resolver.txt_lookup(name)).await {
                    Err(elapsed) => Err(unanswered(elapsed)),
                    Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Ok(Vec::new()),
                    Ok(Err(error)) => Err(unanswered(error)),
                    Ok(Ok(lookup)) => {
                        let texts = lookup.answers().iter().filter_map(|record| match &record.data {
                            RData::TXT(text) => Some(text.txt_data.iter().flat_map(|part| part.iter().copied()).collect()),
                            _ => None,
                        });
                        Ok(texts.filter(|text: &Vec<u8>| text.len() <= MOST.1).take(MOST.0).collect())
                    }
                }
            }
        }
    }

    /// The servers of a service (RFC 2782), as host and port, in the order in which they are to be tried; none if there are none.
    pub async fn servers(&self, service: &str) -> Result<Vec<(String, u16)>, Unanswered> {
        let Source::Server(server, resolver) = &self.source else { return Ok(Vec::new()) };
        let resolver = resolver.get_or_try_init(|| async { build(*server) }).await.map_err(unanswered)?;
        let Ok(name) = Name::from_ascii(format!("{}.", service.trim_end_matches('.'))) else { return Ok(Vec::new()) };
        match tokio::time::timeout(PATIENCE, resolver.srv_lookup(name)).await {
            Err(elapsed) => Err(unanswered(elapsed)),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Ok(Vec::new()),
            Ok(Err(error)) => Err(unanswered(error)),
            Ok(Ok(lookup)) => {
                let found = lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::SRV(srv) => {
                        Some((srv.priority, u16::MAX - srv.weight, srv.target.to_ascii().to_lowercase(), srv.port))
                    }
                    _ => None,
                });
                let mut found: Vec<_> = found.take(MOST.0).collect();
                found.sort_unstable();
                // A dot alone says that there is none.
                let named = found.into_iter().filter(|(_, _, target, _)| target != ".");
                Ok(named.map(|(_, _, target, port)| (target.trim_end_matches('.').to_owned(), port)).collect())
            }
        }
    }
}

fn build(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let (config, mut options) = match server {
        None => read_system_conf()?,
        Some(server) => {
            let at = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            let servers = vec![NameServerConfig::new(server.ip(), true, connections)];
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        }
    };
    // A selector that rotated must be seen at once, and memory is dearer than a question.
    options.cache_size = 0;
    options.timeout = Duration::from_secs(3);
    options.attempts = 1;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

fn unanswered(error: impl std::fmt::Display) -> Unanswered {
    Unanswered(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_zone_answers_for_its_names_alone() {
        let zone = Resolver::new(Names::zone([("A.Example".to_owned(), vec![b"x".to_vec()])]));
        assert_eq!(zone.texts("a.example").await, Ok(vec![b"x".to_vec()]));
        assert_eq!(zone.texts("b.example").await, Ok(vec![]));
    }

    #[tokio::test]
    async fn a_server_that_is_silent_is_no_answer() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let resolver = Resolver::new(Names::Server(silent.local_addr().expect("an address")));
        resolver.texts("a.example").await.expect_err("nobody answers");
    }
}
