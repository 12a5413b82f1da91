//! The protocols spoken to whoever issues. What is asked for and when is the runner's.

pub mod self_signed;
