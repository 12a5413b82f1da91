//! Turns what modules report into the failures that the daemon tells apart.

use cryptoki::error::{Error, RvError};
use obnovad::cards::step::CardError;
use openssl::error::ErrorStack;

/// What a module's function reported, apart from PINs, of which [`super::pins`] knows more.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
pub(super) fn of_module(error: Error) -> CardError {
    use RvError as Rv;
    match &error {
        Error::Pkcs11(code, _) => match code {
            Rv::DeviceRemoved | Rv::TokenNotPresent | Rv::TokenNotRecognized => CardError::Removed {},
            Rv::DeviceMemory => CardError::Full {},
            Rv::PinLocked => CardError::Blocked {},
            // Whoever was asked on the reader's pad has pressed its red button, or nothing.
            Rv::FunctionCanceled | Rv::Cancel | Rv::UserNotLoggedIn => CardError::PinNeeded {},
            Rv::AttributeReadOnly
            | Rv::AttributeTypeInvalid
            | Rv::AttributeValueInvalid
            | Rv::CurveNotSupported
            | Rv::DomainParamsInvalid
            | Rv::FunctionNotSupported
            | Rv::KeyFunctionNotPermitted
            | Rv::KeySizeRange
            | Rv::MechanismInvalid
            | Rv::MechanismParamInvalid
            | Rv::TemplateInconsistent
            | Rv::TemplateIncomplete
            | Rv::TokenWriteProtected => unsupported(&error.to_string()),
            _ => failed(&error.to_string()),
        },
        Error::NullFunctionPointer | Error::NotSupported => unsupported(&error.to_string()),
        _ => failed(&error.to_string()),
    }
}

/// OpenSSL failed at something that depends on nothing but what it was given.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
pub(super) fn of_openssl(error: ErrorStack) -> CardError {
    failed(&error.to_string())
}

pub(super) fn failed(detail: &str) -> CardError {
    CardError::Failed { detail: detail.to_owned() }
}

pub(super) fn unsupported(what: &str) -> CardError {
    CardError::Unsupported { what: what.to_owned() }
}
