//! One call to a server over HTTPS, under a deadline, with bounded answers and whom to trust said explicitly. Follows no redirect and
//! repeats nothing. What is asked, and what an answer means, is the protocols' of the authorities. Runs in obnova-courier.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, ClientConfig, RootCertStore};

use crate::companions::Bytes;
use crate::courier::protocol::{Answer, Call};

/// The longest answer in bytes that is read: dozens of certificates.
const LONGEST: usize = 256 * 1024;

/// Asks, and waits for the answer.
pub async fn ask(call: Call) -> Result<Answer, Problem> {
    let config = tls(&call.anchors)?;
    let (host, seconds) = (call.host.clone(), call.seconds);
    match tokio::time::timeout(Duration::from_secs(seconds.into()), perform(config, call)).await {
        Ok(answered) => answered.map_err(|error| error.told(host)),
        Err(_) => Err(Problem::AuthoritySilent { host, seconds: seconds.to_string() }),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("more than {LONGEST} bytes")]
    TooLong,
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
            Self::Http(_) | Self::TooLong => Problem::AuthorityAnswer { host, detail },
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
    let body = read(&mut response).await?;
    let headers = response.headers();
    Ok(Answer {
        status: response.status().as_u16(),
        location: text(headers, LOCATION.as_str()),
        again: text(headers, RETRY_AFTER.as_str()).and_then(|text| later(&text, Utc::now())),
        body: Bytes(body),
    })
}

async fn read(response: &mut Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST {
            return Err(CallError::TooLong);
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

fn tls(anchors: &[Bytes]) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    for der in anchors {
        roots.add(CertificateDer::from(&**der)).map_err(internal)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(internal)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
