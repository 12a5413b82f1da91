//! Smart cards and tokens: who is in which reader, what lies on it, and what a renewal does with it, one transaction for each step.
//! Owns no state of a renewal and asks no person.

pub mod modules;
pub mod piv;
pub mod secrets;
pub mod step;
