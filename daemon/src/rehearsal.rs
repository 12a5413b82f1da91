//! A rehearsal: a certificate that is about to end, made up for a programme, in a directory that is gone afterwards. The renewal of it
//! is the real one, by the same code; nothing of the person's is touched.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Duration, Utc};
use obnova_core::programme::{Authority, VisitingCard};
use obnova_core::{Place, Problem, Programme, Scheme};
use obnova_secret::Secret;
use zbus::connection::Builder;

use crate::authorities::{name, self_signed};
use crate::helper::{Bytes, Format, Helper, HelperError, KeyAlgorithm, Product};
use crate::random;

/// Whose certificate it is.
const HOLDER: &str = "Rehearsal";

/// How long the certificate has been valid, and how long it still is, in days.
const LIFE: (i64, i64) = (1075, 20);

/// Why nothing can be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// No programme has this name.
    #[error("no programme is called {0}")]
    NoProgramme(String),
    /// Its certificates do not lie in files.
    #[error("the programme {0} cannot be rehearsed yet")]
    NotYet(String),
    /// Something of it could not be made.
    #[error("the rehearsal cannot be set up: {0}")]
    Failed(String),
}

impl RehearsalError {
    /// What a person is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoProgramme(name) => Problem::NoSuchProgramme { name: name.clone() },
            Self::NotYet(name) => Problem::NoRehearsal { name: name.clone() },
            Self::Failed(detail) => Problem::Internal { detail: detail.clone() },
        }
    }
}

impl From<HelperError> for RehearsalError {
    fn from(error: HelperError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A stage on which one certificate lies; gone when dropped.
pub struct Stage {
    directory: PathBuf,
    /// Where the certificate lies.
    pub place: Place,
    /// The one programme that is rehearsed.
    pub programme: Programme,
}

impl Stage {
    /// Makes the certificate that this programme would renew, in a new directory below `parent`.
    pub async fn set(
        parent: &Path,
        name: &str,
        programmes: Vec<Programme>,
        helper: &Helper,
        now: DateTime<Utc>,
    ) -> Result<Self, RehearsalError> {
        let found = programmes.into_iter().find(|programme| programme.name == name);
        let mut programme = found.ok_or_else(|| RehearsalError::NoProgramme(name.to_owned()))?;
        if !matches!(programme.authority, Authority::SelfSigned { .. }) || programme.matching.len() != 1 {
            return Err(RehearsalError::NotYet(name.to_owned()));
        }
        // Nobody's mailbox but the rehearsal's.
        if programme.matching.iter().any(|rule| rule.visiting_card) {
            programme.visiting_cards = vec![VisitingCard::of(HOLDER)];
        }
        let directory = parent.join(format!("obnova-rehearsal-{}", random::hex(8)));
        let failed = |error: &dyn std::fmt::Display| RehearsalError::Failed(error.to_string());
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| failed(&error))?;
        let file = directory.join("rehearsal.p12");
        let stage = Self { directory, place: Place::new(Scheme::Pkcs12, &file), programme };
        stage.furnish(&file, helper, now).await?;
        Ok(stage)
    }

    /// Where the daemon keeps its state meanwhile.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    async fn furnish(&self, file: &Path, helper: &Helper, now: DateTime<Utc>) -> Result<(), RehearsalError> {
        let failed = |error: &dyn std::fmt::Display| RehearsalError::Failed(error.to_string());
        let mut secret = obnova_api::rehearsal_secret(self.programme.secret.min_length).into_bytes();
        let secret = Secret::from_slice(&mut secret).map_err(|error| failed(&error))?;
        let key = self.directory.join("key.pem");
        let spki = helper.generate(KeyAlgorithm::P256, &key, Some(&secret)).await?;
        let subject = name::encode(&[("CN", HOLDER)]).map_err(|error| failed(&error))?;
        let (begun, left) = LIFE;
        let first = self_signed::First {
            subject: &subject,
            public_key: &spki,
            serial: random::bytes(),
            not_before: now - Duration::days(begun),
            not_after: now + Duration::days(left),
        };
        let request = first.encode().map_err(|error| failed(&error))?;
        let signature = helper.sign(&key, &request, &spki, Some(&secret)).await?;
        let certificate = self_signed::assemble(&request, &signature).map_err(|error| failed(&error))?;
        let product = Product {
            key: key.as_path().into(),
            certificate: Bytes(certificate.clone()),
            chain: Vec::new(),
            friendly_name: Some(HOLDER.to_owned()),
            out: file.into(),
            format: Format::Pkcs12,
        };
        helper.package(product, Some(&secret), Some(&secret)).await?;
        let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &certificate);
        let pem = pem.map_err(|error| failed(&error))?;
        std::fs::write(file.with_extension("crt"), pem).map_err(|error| failed(&error))?;
        std::fs::remove_file(&key).map_err(|error| failed(&error))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "what was made for the rehearsal stays");
        }
    }
}

/// The connection over the socket that is this process's standard input: whoever started it holds the other end.
pub async fn connection() -> anyhow::Result<zbus::Connection> {
    let socket = rustix::stdio::stdin().try_clone_to_owned().context("standard input is closed")?;
    let socket = UnixStream::from(socket);
    socket.peer_addr().context("standard input is no socket")?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixStream::from_std(socket)?;
    let connection = Builder::unix_stream(socket).server(zbus::Guid::generate())?.p2p().build().await?;
    Ok(connection)
}
