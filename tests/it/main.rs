//! Obnova from outside: one program, a module per subject.

mod cli;
mod house;
mod parcel;
#[cfg(feature = "peers")]
mod peers;
mod tray;
