//! One call to a server over HTTPS, under a deadline, with bounded answers and whom to trust said explicitly. Follows no redirect and
//! repeats nothing. What is asked, and what an answer means, is the protocols' of the authorities. Runs in obnova-courier.
//!
//! TLS wants signatures at once, in the middle of its handshake; the key is a card's or obnova-helper's, and the daemon brings what it
//! signs. Nothing else happens in this process while it waits.

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::certificate::KeyAlgorithm;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, redirect, retry};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{AlertDescription, ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};

use crate::companions::Bytes;
use crate::courier::protocol::{Answer, Call, Login};

mod dispatch;
mod fetch;

pub use dispatch::dispatch;
pub use fetch::fetch;

/// The longest answer in bytes that is read: dozens of certificates.
const LONGEST: usize = 256 * 1024;

/// Asks, and waits for the answer. `sign` brings what the key of the login signs (see [`Report::Sign`](crate::courier::protocol::Report)).
pub async fn ask(
    mut call: Call,
    sign: impl Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync + 'static,
) -> Result<Answer, Problem> {
    let (host, deadline) = (call.host.clone(), call.deadline());
    let login = call.login.take().map(|login| Elsewhere::of(login, Arc::new(sign))).transpose()?;
    let config = tls(&call.anchors, login)?;
    match tokio::time::timeout(deadline, perform(config, call)).await {
        Ok(answered) => answered.map_err(|error| error.told(host)),
        Err(_) => Err(Problem::AuthoritySilent { host, seconds: deadline.as_secs().to_string() }),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("more than {0} bytes")]
    TooLong(usize),
}

impl CallError {
    /// As the person is told it.
    fn told(self, host: String) -> Problem {
        let mut cause: &(dyn Error + 'static) = &self;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let detail = cause.to_string();
        match of_tls(&self) {
            Some(rustls::Error::InvalidCertificate(_)) => return Problem::AuthorityUntrusted { host, detail },
            Some(rustls::Error::AlertReceived(alert)) if REFUSALS.contains(alert) => {
                return Problem::AuthorityRefused { reason: detail };
            }
            _ => {}
        }
        match self {
            Self::Http(error) if error.is_connect() => Problem::AuthorityUnreachable { host, detail },
            Self::Http(_) | Self::TooLong(_) => Problem::AuthorityAnswer { host, detail },
        }
    }
}

/// How a server says in the handshake that it wants nothing of whoever logs in, or does not (RFC 8446 section 6.2).
const REFUSALS: [AlertDescription; 9] = [
    AlertDescription::HandshakeFailure,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::CertificateRequired,
];

/// What rustls said, which stands inside of errors of input and output that do not name it as their source.
fn of_tls<'error>(error: &'error (dyn Error + 'static)) -> Option<&'error rustls::Error> {
    let inside = || Some(error.downcast_ref::<io::Error>()?.get_ref()? as &(dyn Error + 'static));
    error.downcast_ref().or_else(|| inside().or_else(|| error.source()).and_then(of_tls))
}

async fn perform(config: ClientConfig, call: Call) -> Result<Answer, CallError> {
    let client = Client::builder()
        .tls_backend_preconfigured(config)
        .https_only(true)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_max_idle_per_host(0)
        .build()?;
    let request = match call.body {
        Some((media_type, body)) => client.request(Method::POST, &call.to).header(CONTENT_TYPE, media_type).body(body.0),
        None => client.request(Method::GET, &call.to),
    };
    let mut response = request.send().await?;
    let body = read(&mut response, LONGEST).await?;
    let headers = response.headers();
    Ok(Answer {
        status: response.status().as_u16(),
        location: text(headers, LOCATION.as_str()),
        again: text(headers, RETRY_AFTER.as_str()).and_then(|text| later(&text, Utc::now())),
        body: Bytes(body),
    })
}

async fn read(response: &mut Response, longest: usize) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > longest {
            return Err(CallError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. Never at once, and never later than in a week.
fn later(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    const LONGEST_WAIT: i64 = 7 * 24 * 60 * 60;
    let seconds = match text.trim().parse::<u32>() {
        Ok(seconds) => i64::from(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc() - now).num_seconds(),
    };
    Some(now + chrono::Duration::seconds(seconds.clamp(1, LONGEST_WAIT)))
}

fn tls(anchors: &[Bytes], login: Option<Elsewhere>) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    for der in anchors {
        roots.add(CertificateDer::from(&**der)).map_err(internal)?;
    }
    trusting(roots, login)
}

fn trusting(roots: RootCertStore, login: Option<Elsewhere>) -> Result<ClientConfig, Problem> {
    let by_pkcs1 = login.as_ref().is_some_and(|login| login.algorithm == SignatureAlgorithm::RSA);
    // TLS 1.3 has RSA keys sign by PSS (RFC 8446 section 4.2.3), which many cards do not.
    let versions: &[&SupportedProtocolVersion] =
        if by_pkcs1 { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13, &rustls::version::TLS12] };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .map_err(internal)?
        .with_root_certificates(roots);
    Ok(match login {
        None => builder.with_no_client_auth(),
        Some(login) => builder.with_client_cert_resolver(Arc::new(login)),
    })
}

type Sign = dyn Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync;

/// The key that logs in, which is not in this process.
#[derive(Clone)]
struct Elsewhere {
    certificate: CertificateDer<'static>,
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
    sign: Arc<Sign>,
}

impl Elsewhere {
    fn of(login: Login, sign: Arc<Sign>) -> Result<Self, Problem> {
        let (scheme, algorithm) = match login.key {
            KeyAlgorithm::Rsa(_) => (SignatureScheme::RSA_PKCS1_SHA256, SignatureAlgorithm::RSA),
            KeyAlgorithm::P256 => (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureAlgorithm::ECDSA),
            KeyAlgorithm::P384 => (SignatureScheme::ECDSA_NISTP384_SHA384, SignatureAlgorithm::ECDSA),
            KeyAlgorithm::Other => return Err(Problem::UnsupportedKey { algorithm: login.key.to_string() }),
        };
        Ok(Self { certificate: login.certificate.0.into(), scheme, algorithm, sign })
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Elsewhere").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Elsewhere {
    fn resolve(&self, _acceptable: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = || Arc::new(CertifiedKey::new(vec![self.certificate.clone()], Arc::new(self.clone())));
        schemes.contains(&self.scheme).then(key)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl SigningKey for Elsewhere {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl Signer for Elsewhere {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        (self.sign)(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::Internal { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_that_a_server_wants_is_bounded() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let wait = |text: &str| later(text, now).map(|then| (then - now).num_seconds());
        assert_eq!(wait("30"), Some(30));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("4294967295"), Some(604_800));
        assert_eq!(wait("Fri, 15 Jan 2027 08:01:00 GMT"), Some(60));
        assert_eq!(wait("Fri, 15 Jan 2021 08:01:00 GMT"), Some(1));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait(bad), None, "{bad}");
        }
    }
}
