//! Obnova from outside: one program, a module per subject.

mod house;
#[cfg(feature = "peers")]
mod peers;
