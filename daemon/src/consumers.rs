//! Who must learn of a new certificate: one module for each kind, one line in the table.

use obnova_core::Problem;
use obnova_core::programme::Consumer;

mod hook;

/// What they are told.
pub(crate) struct News<'a> {
    /// The name of the certificate.
    pub(crate) name: &'a str,
    /// The place of the new one, as an URI.
    pub(crate) place: &'a str,
    /// The files that are new, one to a line.
    pub(crate) files: &'a str,
}

/// Tells one of them; may be repeated.
pub(crate) async fn tell(consumer: &Consumer, news: &News<'_>) -> Result<(), Problem> {
    match consumer {
        Consumer::Hook { command } => hook::tell(command, news).await,
    }
}
