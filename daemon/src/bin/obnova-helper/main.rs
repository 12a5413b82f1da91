//! obnova-helper: the short-lived process that alone links OpenSSL, loads PKCS#11 modules and touches private keys. It reads
//! one request and its secrets from the socket on its standard input, answers there, and exits. When to do what is the daemon's.

mod certificates;
mod chains;
mod failure;
mod files;
mod issue;
mod keys;
mod mac;
mod packages;
mod revocation;
mod seal;
mod tokens;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use obnova_secret::{Secret, SecretError, WipingAllocator};
use obnovad::companions::{self, MAX_FRAME};
use obnovad::helper::protocol::{HelperError, Request};
use serde::Serialize;

/// OpenSSL's Rust interface copies passwords to the heap; this leaves none behind.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started this sees only that it ended. If even this line cannot be written, the status still tells.
            let written = writeln!(io::stderr(), "obnova-helper: {error}");
            ExitCode::from(if written.is_ok() { 1 } else { 2 })
        }
    }
}

fn serve() -> io::Result<()> {
    obnova_secret::process::harden()?;
    let mut socket = companions::daemon()?;
    let request = companions::receive(&mut socket, MAX_FRAME)?;
    let answer = match read_request(&request, &mut socket) {
        Ok((request, secrets)) => answer(&request, secrets),
        Err(error) => Err(error),
    };
    companions::send(&mut socket, &serde_json::to_vec(&answer)?)
}

/// Does what is asked. The answer's type is the one that [`Request`] documents.
fn answer(request: &Request, secrets: Vec<Secret>) -> Result<serde_json::Value, HelperError> {
    let mut secrets = secrets.into_iter();
    let mut secret = || secrets.next();
    match request {
        Request::OpenPkcs12 { path } => json(packages::open_pkcs12(path, secret().as_ref())?),
        Request::InspectKey { path, .. } => json(keys::inspect(path, secret().as_ref())?),
        Request::Generate { algorithm, path, .. } => json(keys::generate(*algorithm, path, secret().as_ref())?),
        Request::PublicHalf { path } => json(keys::public_half(path)?),
        Request::Sign { key, message, spki, .. } => json(keys::sign(key, message, spki, secret().as_ref())?),
        Request::Judge { certificate, issuer } => json(certificates::judge(certificate, issuer)?),
        Request::Chain { certificate, links, anchors, at } => json(certificates::chain(certificate, links, anchors, *at)?),
        Request::Trace { certificate, links, anchors, at } => json(chains::trace(certificate, links, anchors, *at)?),
        Request::OcspRequest { certificate, issuer } => json(revocation::request(certificate, issuer)?),
        Request::OcspAnswer { answer, certificate, issuer, at } => json(revocation::answer(answer, certificate, issuer, *at)?),
        Request::RevocationList { list, certificate, issuer, at } => json(revocation::list(list, certificate, issuer, *at)?),
        Request::Verify { spki, message, signature } => json(keys::verify(spki, message, signature)?),
        Request::Challenge { spki } => json(keys::challenge(spki)?),
        Request::Trial { key, certificate, .. } => json(keys::trial(key, certificate, secret().as_ref())?),
        Request::Establish { key, name, validity } => json(issue::establish(key, name, *validity)?),
        Request::Issue { message, key, authority, validity } => json(issue::issue(message, key, authority, *validity)?),
        Request::Package { product, opens, seals } => {
            let opens = if *opens { secret() } else { None };
            let seals = if *seals { secret() } else { None };
            json(packages::package(product, opens.as_ref(), seals.as_ref())?)
        }
        Request::Place { staged, target, mode, sha256 } => json(files::place(staged, target, *mode, sha256)?),
        Request::Replace { files } => json(files::replace(files)?),
        Request::Digest { path } => json(files::digest(path)?),
        Request::Tokens { module } => json(tokens::list(module).map_err(HelperError::Card)?),
        Request::TokensMoved { module, shown, readers } => {
            json(tokens::moved(module, shown, readers).map_err(HelperError::Card)?)
        }
        Request::Token { module, place, step, pin, new_pin, last_try } => {
            let opens = if *pin { secret() } else { None };
            let new = if *new_pin { secret() } else { None };
            let given = tokens::Given { opens: opens.as_ref(), new: new.as_ref(), last_try: *last_try };
            json(tokens::perform(module, place, step, &given).map_err(HelperError::Card)?)
        }
        Request::ResetCards {} => {
            tokens::reset::all_cards();
            json(())
        }
    }
}

fn json(value: impl Serialize) -> Result<serde_json::Value, HelperError> {
    serde_json::to_value(value).map_err(|error| HelperError::Refused { detail: error.to_string() })
}

fn read_request(frame: &[u8], socket: &mut UnixStream) -> Result<(Request, Vec<Secret>), HelperError> {
    let request: Request = serde_json::from_slice(frame).map_err(|error| HelperError::Refused { detail: error.to_string() })?;
    let secrets = (0..request.secrets()).map(|_| read_secret(socket)).collect::<Result<_, _>>()?;
    Ok((request, secrets))
}

/// From the socket straight into locked memory.
fn read_secret(socket: &mut UnixStream) -> Result<Secret, HelperError> {
    companions::receive_secret(socket).map_err(|error| match error {
        SecretError::CannotLock { .. } | SecretError::Memory(_) => HelperError::Memory { detail: error.to_string() },
        SecretError::TooLong { .. } | SecretError::Io(_) => HelperError::Refused { detail: error.to_string() },
    })
}
