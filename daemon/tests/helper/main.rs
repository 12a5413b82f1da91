//! obnova-helper from outside, through the daemon's side of it, with the openssl program as the other witness.

mod bench;
mod files;
mod keys;
mod packages;
mod process;
mod revocation;
