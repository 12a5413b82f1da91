//! Obnova from outside: one program, a module per subject.

mod authority;
mod cli;
mod contract;
mod credentials;
mod faults;
mod guard;
mod hand;
mod house;
mod inside;
mod kill;
mod mail;
mod mishaps;
mod notify;
mod parcel;
#[cfg(feature = "peers")]
mod peers;
mod rehearsal;
mod reload;
mod renewal;
mod revocation;
mod secrecy;
mod succession;
mod time;
mod tray;
mod warn;
mod watch;
mod web;
