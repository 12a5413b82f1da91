//! Sends one mail through the person's server, under a deadline: over TLS from the first byte or from STARTTLS on, never without, and
//! never twice. Runs in obnova-courier.

use std::error::Error;
use std::time::Duration;

use lettre::address::{Address, Envelope};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters, TlsVersion};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Tokio1Executor};
use obnova_core::Problem;
use obnova_core::mailbox::Security;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::fetch::machines_certificates;
use crate::courier::protocol::{Dispatch, Undispatched};

/// How long a command may take; a mail has several.
const COMMAND: Duration = Duration::from_mins(1);

/// Sends it, with this password.
pub async fn dispatch(dispatch: Dispatch, password: &[u8]) -> Result<(), Undispatched> {
    let server = dispatch.server.clone();
    match tokio::time::timeout(Dispatch::DEADLINE, send(dispatch, password)).await {
        Ok(sent) => sent,
        // Whatever it was doing then.
        Err(_) => Err(Undispatched { problem: unsent(&server, &"deadline"), may_have_arrived: true }),
    }
}

async fn send(dispatch: Dispatch, password: &[u8]) -> Result<(), Undispatched> {
    let before =
        |detail: &dyn std::fmt::Display| Undispatched { problem: unsent(&dispatch.server, detail), may_have_arrived: false };
    let tls = tls(&dispatch).map_err(|detail| before(&detail))?;
    let (tls, usual) = match dispatch.security {
        Security::Tls => (Tls::Wrapper(tls), 465),
        Security::StartTls => (Tls::Required(tls), 587),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&dispatch.server)
        .port(dispatch.port.unwrap_or(usual))
        .tls(tls)
        .timeout(Some(COMMAND));
    if let Some(user) = &dispatch.user {
        let password = String::from_utf8(password.to_vec()).map_err(|error| before(&error))?;
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    let transport = builder.build();
    let address = |text: &str| text.parse::<Address>().map_err(|error| before(&error));
    let envelope =
        Envelope::new(Some(address(&dispatch.from)?), vec![address(&dispatch.to)?]).map_err(|error| before(&error))?;
    // All that may fail without a mail is tried first: who it is, and whether it lets us in.
    match transport.test_connection().await {
        Ok(true) => {}
        Ok(false) => return Err(before(&"NOOP")),
        Err(error) => return Err(Undispatched { problem: told(&dispatch, &error), may_have_arrived: false }),
    }
    match transport.send_raw(&envelope, &dispatch.mail).await {
        Ok(_) => Ok(()),
        // A server that says no has not taken it (RFC 5321 section 4.2.1); one that says nothing may have.
        Err(error) => {
            let said_no = error.is_permanent() || error.is_transient();
            Err(Undispatched { problem: told(&dispatch, &error), may_have_arrived: !said_no })
        }
    }
}

/// Whom to trust: those that are named, or else those that the machine trusts.
fn tls(dispatch: &Dispatch) -> Result<TlsParameters, String> {
    let named: Vec<CertificateDer<'static>> = match &dispatch.certificates {
        Some(pem) => CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?,
        None => machines_certificates().collect(),
    };
    let mut builder = TlsParameters::builder(dispatch.server.clone())
        .certificate_store(CertificateStore::None)
        .set_min_tls_version(TlsVersion::Tlsv12);
    for certificate in named {
        // One that cannot be used is one that nobody chains to.
        if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| error.to_string())
}

fn told(dispatch: &Dispatch, error: &SmtpError) -> Problem {
    /// How a server refuses user or password (RFC 4954 section 6).
    const REFUSED: [&str; 4] = ["530", "534", "535", "538"];
    let status = error.status().map(|code| code.to_string());
    match (&dispatch.user, status) {
        (Some(user), Some(status)) if REFUSED.contains(&status.as_str()) => {
            Problem::MailLogin { server: dispatch.server.clone(), user: user.clone() }
        }
        _ => {
            let mut cause: &(dyn Error + 'static) = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            unsent(&dispatch.server, &cause)
        }
    }
}

fn unsent(server: &str, detail: &dyn std::fmt::Display) -> Problem {
    Problem::MailServer { server: server.to_owned(), detail: detail.to_string() }
}
