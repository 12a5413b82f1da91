//! The daemon's side of obnova-helper: starts one process per operation, hands it the request and the secrets, and waits
//! for its answer under a deadline. What the operations do is the helper's; when they are due is the runner's.

pub mod protocol;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use obnova_core::Place;
use obnova_core::card::Card;
use obnova_core::revocation::{Finding, Why};
use obnova_secret::Secret;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::cards::modules::Module;
use crate::cards::secrets::Secrets;
use crate::cards::step::{CardAnswer, CardError, CardStep};
use crate::companions::{Companion, is_hang_up};
use crate::shares::{self, Whose};
use protocol::Request;
pub use protocol::{
    Bytes, Challenge, FilePath, Format, HelperError, InspectedKey, Issued, KeyAlgorithm, Opened, OpenedCertificate, Product,
    Replacement, Sha256, Traced, Validity,
};

/// How long most operations may take: reading and writing small files, a few signatures, and key derivation as slow as the
/// maker of a file wanted it.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long making a key may take. RSA-4096 is a matter of luck, and of the machine.
const GENERATION_DEADLINE: Duration = Duration::from_mins(3);

/// How long a step at a token may take whose PIN is typed on the reader: the reader gives up earlier.
const PAD_DEADLINE: Duration = Duration::from_mins(2);

/// How long one that listens to a module may do so.
const LISTENING_DEADLINE: Duration = Duration::from_hours(24 * 365);

/// The means of starting obnova-helper. Every method starts one process and ends with its end.
///
/// The helper dies with the *thread* that started it: call these from the main thread's runtime. A future that is dropped
/// kills its helper; whether the operation happened is then unknown, as after [`HelperError::Deadline`].
#[derive(Clone, Debug)]
pub struct Helper {
    program: PathBuf,
    deadline: Duration,
    generation_deadline: Duration,
    pad_deadline: Duration,
}

impl Helper {
    /// The helper at a given path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            deadline: DEADLINE,
            generation_deadline: GENERATION_DEADLINE,
            pad_deadline: PAD_DEADLINE,
        }
    }

    /// The same helper with another deadline for every operation.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, generation_deadline: deadline, pad_deadline: deadline, ..self }
    }

    /// Opens a PKCS#12 file, modern or legacy. An empty secret stands for both an empty and an absent password. Of several
    /// private keys only the first is seen.
    pub async fn open_pkcs12(&self, path: &Path, password: &Secret) -> Result<Opened, HelperError> {
        self.ask(&Request::OpenPkcs12 { path: path.into() }, &[password]).await
    }

    /// Looks at the first private key in a PEM or DER file: PKCS#8 (plain or encrypted), PKCS#1 or SEC 1, alone or beside
    /// certificates, or PKCS#12. [`HelperError::SecretNeeded`] if it is encrypted and there is no secret.
    pub async fn inspect_key(&self, path: &Path, secret: Option<&Secret>) -> Result<InspectedKey, HelperError> {
        self.ask(&Request::InspectKey { path: path.into(), secret: secret.is_some() }, secret.as_slice()).await
    }

    /// Makes a key pair and writes it to the new file `path` (mode 0600, fsynced): the public key, which
    /// [`public_half`](Self::public_half) reads, and the private key, encrypted if there is a secret. Returns the `SubjectPublicKeyInfo`.
    /// An existing file is [`HelperError::AlreadyThere`] and stays as it is.
    pub async fn generate(
        &self,
        algorithm: KeyAlgorithm,
        path: &Path,
        secret: Option<&Secret>,
    ) -> Result<Vec<u8>, HelperError> {
        let request = Request::Generate { algorithm, path: path.into(), secret: secret.is_some() };
        self.ask::<Bytes>(&request, secret.as_slice()).await.map(|spki| spki.0)
    }

    /// The `SubjectPublicKeyInfo` (DER) in a file that [`generate`](Self::generate) wrote, which takes no secret: how a
    /// restarted daemon learns that the key was made. `None` if there is no such file, [`HelperError::NoKey`] if it has no
    /// public key, and so is not one of ours.
    pub async fn public_half(&self, path: &Path) -> Result<Option<Vec<u8>>, HelperError> {
        let spki: Option<Bytes> = self.ask(&Request::PublicHalf { path: path.into() }, &[]).await?;
        Ok(spki.map(|spki| spki.0))
    }

    /// Signs `message` with the key in the file `key` (PEM, DER or PKCS#12), which must have the `SubjectPublicKeyInfo` `spki`: PKCS #1 v1.5
    /// with SHA-256 for RSA, ECDSA (DER form) with SHA-256 for P-256 and SHA-384 for P-384.
    pub async fn sign(&self, key: &Path, message: &[u8], spki: &[u8], secret: Option<&Secret>) -> Result<Vec<u8>, HelperError> {
        let request = Request::Sign { key: key.into(), message: message.into(), spki: spki.into(), secret: secret.is_some() };
        self.ask::<Bytes>(&request, secret.as_slice()).await.map(|signature| signature.0)
    }

    /// Verifies a signature as [`sign`](Self::sign) makes them, by the public key alone: for keys that lie on cards.
    pub async fn verify(&self, spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), HelperError> {
        self.ask(&Request::Verify { spki: spki.into(), message: message.into(), signature: signature.into() }, &[]).await
    }

    /// Makes up something that only the holder of the key `spki` can open.
    pub async fn challenge(&self, spki: &[u8]) -> Result<Challenge, HelperError> {
        self.ask(&Request::Challenge { spki: spki.into() }, &[]).await
    }

    /// Verifies that `certificate` (DER) is strictly encoded, names the subject of `issuer` (DER) as its issuer, and was
    /// signed by it. Validity, extensions and chains are not looked at.
    pub async fn judge(&self, certificate: &[u8], issuer: &[u8]) -> Result<(), HelperError> {
        self.ask(&Request::Judge { certificate: certificate.into(), issuer: issuer.into() }, &[]).await
    }

    /// Verifies that `certificate` (DER) is strictly encoded and that a chain leads from it, by some of `links`, to one of
    /// `anchors` (DER), all of them being valid at `at`. Revocation is not looked at.
    pub async fn chain(
        &self,
        certificate: &[u8],
        links: &[Vec<u8>],
        anchors: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<(), HelperError> {
        let request = Request::Chain { certificate: certificate.into(), links: all(links), anchors: all(anchors), at };
        self.ask(&request, &[]).await
    }

    /// Finds the chain above `certificate` (DER) that holds longest, made of `links`, of `anchors` and of what this machine trusts
    /// (DER each). Every signature in it is verified.
    pub async fn trace(
        &self,
        certificate: &[u8],
        links: &[Vec<u8>],
        anchors: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<Traced, HelperError> {
        let request = Request::Trace { certificate: certificate.into(), links: all(links), anchors: all(anchors), at };
        self.ask(&request, &[]).await
    }

    /// The `OCSPRequest` (DER, RFC 6960 section 4.1.1) that asks about `certificate`, which `issuer` (DER) has issued.
    pub async fn ocsp_request(&self, certificate: &[u8], issuer: &[u8]) -> Result<Vec<u8>, HelperError> {
        let request = Request::OcspRequest { certificate: certificate.into(), issuer: issuer.into() };
        self.ask::<Bytes>(&request, &[]).await.map(|request| request.0)
    }

    /// What an `OCSPResponse` (DER, RFC 6960 section 4.2.1) says of `certificate` at this moment, if `issuer` or somebody whom it has
    /// named for that has signed it.
    pub async fn ocsp_answer(
        &self,
        answer: Vec<u8>,
        certificate: &[u8],
        issuer: &[u8],
        at: DateTime<Utc>,
    ) -> Result<Result<Finding, Why>, HelperError> {
        let (certificate, issuer) = (certificate.into(), issuer.into());
        self.ask(&Request::OcspAnswer { answer: answer.into(), certificate, issuer, at }, &[]).await
    }

    /// What a list of revoked certificates (DER or PEM) says of `certificate` at this moment, if `issuer` has signed it.
    pub async fn revocation_list(
        &self,
        list: Vec<u8>,
        certificate: &[u8],
        issuer: &[u8],
        at: DateTime<Utc>,
    ) -> Result<Result<Finding, Why>, HelperError> {
        let (certificate, issuer) = (certificate.into(), issuer.into());
        self.ask(&Request::RevocationList { list: list.into(), certificate, issuer, at }, &[]).await
    }

    /// Proves that the key in the file `key` is that of `certificate` (DER): it signs random bytes and, if RSA, decrypts
    /// others, and the certificate's public key agrees.
    pub async fn trial(&self, key: &Path, certificate: &[u8], secret: Option<&Secret>) -> Result<(), HelperError> {
        let request = Request::Trial { key: key.into(), certificate: certificate.into(), secret: secret.is_some() };
        self.ask(&request, secret.as_slice()).await
    }

    /// Makes the self-signed certificate of a certification authority called `name`, for the key in the file `key`.
    pub async fn establish(&self, key: &Path, name: &str, validity: Validity) -> Result<Vec<u8>, HelperError> {
        let request = Request::Establish { key: key.into(), name: name.to_owned(), validity };
        self.ask::<Bytes>(&request, &[]).await.map(|certificate| certificate.0)
    }

    /// Issues, as the authority with the certificate `authority` (DER) and the key in the file `key`, what a signed request
    /// asks for: the message must be signed by the certificate that it renews, and by that alone, the request in it by the
    /// new key. The certificate has the subject and the extensions that are asked for; validity, holder and keys are not
    /// compared. Nothing is written.
    pub async fn issue(&self, message: &[u8], key: &Path, authority: &[u8], validity: Validity) -> Result<Issued, HelperError> {
        let request = Request::Issue { message: message.into(), key: key.into(), authority: authority.into(), validity };
        self.ask(&request, &[]).await
    }

    /// Writes a staged file (mode 0600, fsynced, atomically over an older one), opens it again and compares. `opens` is the
    /// secret of the key file, `seals` the one that protects the product; a PKCS#12 needs the latter, be it empty.
    pub async fn package(
        &self,
        product: Product,
        opens: Option<&Secret>,
        seals: Option<&Secret>,
    ) -> Result<Sha256, HelperError> {
        let request = Request::Package { product, opens: opens.is_some(), seals: seals.is_some() };
        let secrets: Vec<&Secret> = opens.into_iter().chain(seals).collect();
        self.ask(&request, &secrets).await
    }

    /// Copies a staged file to `target` with permissions `mode`, fsynced, never over another file, and only if it has the
    /// digest `sha256`. On failure nothing is left behind. Its temporary file is `target` with `.obnova-new` appended.
    pub async fn place(&self, staged: &Path, target: &Path, mode: u32, sha256: Sha256) -> Result<(), HelperError> {
        self.ask(&Request::Place { staged: staged.into(), target: target.into(), mode, sha256 }, &[]).await
    }

    /// Puts staged files in the place of others, whose owners and permissions are kept. First a copy of each old one is made, and
    /// all new ones are written beside them, everything fsynced; only then are they renamed over the old ones, one directly after
    /// the other. May be repeated: what has happened is recognised.
    pub async fn replace(&self, files: Vec<Replacement>) -> Result<(), HelperError> {
        self.ask(&Request::Replace { files }, &[]).await
    }

    /// The digest of a file, or `None` if there is none.
    pub async fn digest(&self, path: &Path) -> Result<Option<Sha256>, HelperError> {
        self.ask(&Request::Digest { path: path.into() }, &[]).await
    }

    /// Every token that a PKCS#11 module shows, with its public certificates and keys; needs no PIN. A token that cannot be
    /// read hides no other. Tokens that were never set up are left out.
    pub async fn tokens(&self, module: &Module) -> Result<Vec<Card>, CardError> {
        self.ask_module(module, &Request::Tokens { module: module.path.as_path().into() }, &[]).await
    }

    /// Ready with `true` once a module shows other tokens than `shown`, for which its code sleeps in a process of its own; at once
    /// with `false` if it would never tell, or has nothing but `readers` of the card service, which does.
    pub async fn tokens_moved(&self, module: &Module, shown: Vec<Place>, readers: Vec<String>) -> Result<bool, CardError> {
        let request = Request::TokensMoved { module: module.path.as_path().into(), shown, readers };
        self.ask_module(module, &request, &[]).await
    }

    /// Takes one step at the token `place`, of which the module must show just one. Each secret is sent to the token once, with
    /// keys that demand the PIN for each use once more. Tokens have no management key.
    pub async fn token(
        &self,
        module: &Module,
        place: &Place,
        step: &CardStep,
        secrets: &Secrets,
    ) -> Result<CardAnswer, CardError> {
        let opens = if matches!(step, CardStep::Unblock {}) { &secrets.puk } else { &secrets.pin };
        let request = Request::Token {
            module: module.path.as_path().into(),
            place: place.clone(),
            step: step.clone(),
            pin: opens.is_some(),
            new_pin: secrets.new_pin.is_some(),
            last_try: secrets.last_try,
        };
        let following: Vec<&Secret> = [opens, &secrets.new_pin].into_iter().filter_map(Option::as_deref).collect();
        let outcome = self.ask_module(module, &request, &following).await;
        if matches!(outcome, Err(CardError::Module { .. })) && !matches!(step, CardStep::Look {}) {
            // It may have died between PIN and logout, and which reader it was at is not known any more. Where there is no
            // card service, there is no card, and what has failed is told anyway.
            let _reset = self.ask::<()>(&Request::ResetCards {}, &[]).await;
        }
        outcome
    }

    /// An operation in which a module's code runs. Whatever that does to its process is the module's failure.
    async fn ask_module<T: DeserializeOwned>(
        &self,
        module: &Module,
        request: &Request,
        secrets: &[&Secret],
    ) -> Result<T, CardError> {
        let blame = |detail: String| CardError::Module { module: module.path.display().to_string(), detail };
        self.ask_within(request, secrets, Some(module)).await.map_err(|error| match error {
            HelperError::Card(error) => error,
            HelperError::Crashed { status } => blame(format!("ended its process ({status})")),
            HelperError::Deadline { after } => blame(format!("gave no answer within {after:?}")),
            HelperError::Exchange(source) => blame(format!("disturbed its process: {source}")),
            HelperError::Start { ref source, .. } => CardError::Failed { detail: format!("{error}: {source}") },
            other => CardError::Failed { detail: other.to_string() },
        })
    }

    /// One operation from start to reaped process.
    async fn ask<T: DeserializeOwned>(&self, request: &Request, secrets: &[&Secret]) -> Result<T, HelperError> {
        shares::spent(Whose::Helper, self.ask_within(request, secrets, None)).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        request: &Request,
        secrets: &[&Secret],
        module: Option<&Module>,
    ) -> Result<T, HelperError> {
        debug_assert_eq!(request.secrets(), secrets.len());
        let deadline = self.deadline_of(request);
        let request = serde_json::to_vec(request).map_err(|error| HelperError::Exchange(error.into()))?;
        let started = self.start(module);
        let mut helper = started.map_err(|source| HelperError::Start { program: self.program.clone(), source })?;
        let answered = timeout(deadline, exchange(&mut helper, &request, secrets)).await;
        // Once it has answered, it has nothing left to do: killing it while it exits loses nothing.
        let status = helper.end().await.map_err(HelperError::Exchange)?;
        match answered {
            Err(_) => Err(HelperError::Deadline { after: deadline }),
            Ok(Err(error)) if is_hang_up(&error) => Err(HelperError::Crashed { status }),
            Ok(Err(error)) => Err(HelperError::Exchange(error)),
            Ok(Ok(answer)) => serde_json::from_slice::<Result<T, HelperError>>(&answer)
                .map_err(|error| HelperError::Exchange(error.into()))?,
        }
    }

    fn deadline_of(&self, request: &Request) -> Duration {
        match request {
            Request::Generate { .. } | Request::Token { step: CardStep::Generate { .. }, .. } => self.generation_deadline,
            Request::Token { step: CardStep::Look {}, .. } => self.deadline,
            Request::TokensMoved { .. } => LISTENING_DEADLINE,
            Request::Token { pin: false, .. } => self.pad_deadline,
            _ => self.deadline,
        }
    }

    /// Starts it with no environment but a module's.
    fn start(&self, module: Option<&Module>) -> io::Result<Companion> {
        match module {
            // What a module says on standard error may hold anything, a PIN too: it is not for our log.
            Some(module) => Companion::start(&self.program, &module.environment, Stdio::null()),
            None => Companion::start(&self.program, [("", ""); 0], Stdio::inherit()),
        }
    }
}

fn all(ders: &[Vec<u8>]) -> Vec<Bytes> {
    ders.iter().map(|der| Bytes::from(der.clone())).collect()
}

async fn exchange(helper: &mut Companion, request: &[u8], secrets: &[&Secret]) -> io::Result<Vec<u8>> {
    helper.send(request).await?;
    for secret in secrets {
        helper.send(secret.expose()).await?;
    }
    helper.receive().await
}
