//! The daemon as a library: production and tests compose it from the same parts.

pub mod helper;
