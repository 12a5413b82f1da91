//! Against real programs of other people. Compiled in by the feature `peers`; a peer that is lacking fails its tests.

mod card;
mod desktop;
mod disk;
mod first_contact;
mod install;
mod keyring;
mod mail;
mod memory;
mod nginx;
mod package;
mod piv;
mod shells;
mod strongswan;
mod system;
mod tokens;
mod twins;
mod units;
mod verbs;
