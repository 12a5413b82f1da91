//! Secrets in memory that is ours: bytes that are locked, kept out of dumps and forks, and zeroised; the pipes that carry
//! them; and processes that cannot be looked into. Asking for a secret, and the rules for one, are not in here.
//!
//! This is, beside `pcsc-sys`, the only crate with any `unsafe`.

mod allocator;
pub mod footprint;
mod page;
pub mod process;
mod secret;

pub use allocator::WipingAllocator;
pub use page::CAPACITY;
pub use secret::{Secret, SecretError, pipe};
