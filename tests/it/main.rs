//! Obnova from outside: one program, a module per subject.

mod cli;
mod contract;
mod faults;
mod house;
mod inside;
mod parcel;
#[cfg(feature = "peers")]
mod peers;
mod secrecy;
mod time;
mod tray;
