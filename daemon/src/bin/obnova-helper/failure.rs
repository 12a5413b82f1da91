//! Turns what the system and OpenSSL report into the failures that the daemon tells apart.

use std::io;

use obnovad::helper::HelperError;
use openssl::error::ErrorStack;
use rustix::io::Errno;

/// A failure of the file system.
pub(crate) fn of_files(error: &io::Error) -> HelperError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => HelperError::NotFound,
        Kind::AlreadyExists => HelperError::AlreadyThere,
        Kind::PermissionDenied => HelperError::Denied,
        Kind::StorageFull | Kind::QuotaExceeded => HelperError::DiskFull,
        Kind::ReadOnlyFilesystem => HelperError::ReadOnly,
        Kind::IsADirectory => HelperError::NotRegular,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => HelperError::NotRegular,
        _ => HelperError::Io { detail: error.to_string() },
    }
}

/// A failure of OpenSSL at something that always works, given memory and entropy.
pub(crate) fn of_openssl(error: &ErrorStack) -> HelperError {
    HelperError::Crypto { detail: detail(error) }
}

/// A failure of OpenSSL to make sense of bytes from outside.
pub(crate) fn of_content(error: &ErrorStack) -> HelperError {
    if is_unsupported(error) {
        HelperError::Unsupported { detail: detail(error) }
    } else {
        HelperError::Broken { detail: detail(error) }
    }
}

/// Whether OpenSSL lacks an algorithm. Only the EVP layer is asked: a decoder calls every format but its own unsupported.
pub(crate) fn is_unsupported(error: &ErrorStack) -> bool {
    error.errors().iter().any(|entry| {
        entry.library_code() == openssl_library::EVP
            && entry.reason().is_some_and(|reason| reason.starts_with("unsupported") || reason.starts_with("unknown"))
    })
}

/// Whether the MAC of a PKCS#12 says that the password is wrong.
pub(crate) fn is_wrong_mac(error: &ErrorStack) -> bool {
    const PKCS12_R_MAC_VERIFY_FAILURE: i32 = 113;
    error
        .errors()
        .iter()
        .any(|entry| entry.library_code() == openssl_library::PKCS12 && entry.reason_code() == PKCS12_R_MAC_VERIFY_FAILURE)
}

/// Reasons only: an entry's data may repeat what came from outside.
fn detail(error: &ErrorStack) -> String {
    let reasons: Vec<&str> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if reasons.is_empty() { "OpenSSL gives no reason".to_owned() } else { reasons.join("; ") }
}

/// Library numbers of `openssl/err.h`, part of its stable interface.
mod openssl_library {
    pub(super) const EVP: i32 = 6;
    pub(super) const PKCS12: i32 = 35;
}
