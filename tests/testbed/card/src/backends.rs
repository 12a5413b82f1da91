//! Which of Trussed's backends serves the applet's requests: PINs, the applet's files and sealed keys, RSA, and the core's own.

use std::cell::Cell;
use std::rc::Rc;

use trussed::backend::{Backend as _, BackendId};
use trussed::platform::Platform;
use trussed::serde_extensions::{ExtensionDispatch, ExtensionId, ExtensionImpl as _};
use trussed::service::ServiceResources;
use trussed::types::Context;
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::Error;
use trussed_core::api::{Reply, Request, reply, request};
use trussed_core::types::{Bytes, Location};
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

/// In the order in which they are asked.
pub(crate) const ALL: &[BackendId<Backend>] =
    &[BackendId::Custom(Backend::Files), BackendId::Custom(Backend::Pins), BackendId::Custom(Backend::Rsa), BackendId::Core];

/// A backend beside the core.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Files,
    Pins,
    Rsa,
}

/// What the backends offer beyond Trussed's own requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extension {
    Auth,
    Chunked,
    Hpke,
    WrapKeyToFile,
}

const EXTENSIONS: [Extension; 4] = [Extension::Auth, Extension::Chunked, Extension::Hpke, Extension::WrapKeyToFile];

impl From<Extension> for u8 {
    fn from(extension: Extension) -> Self {
        extension as Self
    }
}

impl TryFrom<u8> for Extension {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        EXTENSIONS.get(usize::from(number)).copied().ok_or(Error::InternalError)
    }
}

/// The backends themselves.
pub(crate) struct Backends {
    pins: AuthBackend,
    files: StagingBackend,
    refused: Refused,
}

/// Whether a key refused what it was given since the last look. The applet takes every key to do what it is asked, and panics
/// where one does not; so it is answered with nothing, and the one who gave it the command looks here.
#[derive(Clone, Default)]
pub(crate) struct Refused(Rc<Cell<bool>>);

impl Refused {
    /// Whether one did; forgets it.
    pub(crate) fn take(&self) -> bool {
        self.0.take()
    }
}

/// What they remember of one client.
#[derive(Default)]
pub(crate) struct Contexts {
    pins: AuthContext,
    files: StagingContext,
}

impl Backends {
    pub(crate) fn new(refused: Refused) -> Self {
        Self { pins: AuthBackend::new(Location::Internal, FilesystemLayout::V0), files: StagingBackend::new(), refused }
    }
}

impl ExtensionDispatch for Backends {
    type BackendId = Backend;
    type Context = Contexts;
    type ExtensionId = Extension;

    fn core_request<P: Platform>(
        &mut self,
        backend: &Backend,
        context: &mut Context<Contexts>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let Context { core, backends, .. } = context;
        match backend {
            Backend::Files => self.files.request(core, &mut backends.files, request, resources),
            Backend::Pins => self.pins.request(core, &mut backends.pins, request, resources),
            Backend::Rsa => match (SoftwareRsa.request(core, &mut (), request, resources), request) {
                // As a letter to another key, whose number is not below this one's modulus (RFC 8017, 5.1.2).
                (Err(Error::InternalError), Request::Sign(_)) => {
                    self.refused.0.set(true);
                    Ok(reply::Sign { signature: Bytes::new() }.into())
                }
                (answer, _) => answer,
            },
        }
    }

    fn extension_request<P: Platform>(
        &mut self,
        backend: &Backend,
        extension: &Extension,
        context: &mut Context<Contexts>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        let Context { core, backends: Contexts { pins, files }, .. } = context;
        macro_rules! by_files {
            ($extension:ty) => {
                trussed::serde_extensions::ExtensionImpl::<$extension>::extension_request_serialized(
                    &mut self.files,
                    core,
                    files,
                    request,
                    resources,
                )
            };
        }
        match (backend, extension) {
            (Backend::Pins, Extension::Auth) => self.pins.extension_request_serialized(core, pins, request, resources),
            (Backend::Files, Extension::Chunked) => by_files!(ChunkedExtension),
            (Backend::Files, Extension::Hpke) => by_files!(HpkeExtension),
            (Backend::Files, Extension::WrapKeyToFile) => by_files!(WrapKeyToFileExtension),
            _ => Err(Error::RequestNotAvailable),
        }
    }
}

macro_rules! number {
    ($extension:ty, $number:ident) => {
        impl ExtensionId<$extension> for Backends {
            type Id = Extension;
            const ID: Extension = Extension::$number;
        }
    };
}

number!(AuthExtension, Auth);
number!(ChunkedExtension, Chunked);
number!(HpkeExtension, Hpke);
number!(WrapKeyToFileExtension, WrapKeyToFile);
