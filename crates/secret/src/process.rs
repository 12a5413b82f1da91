//! Makes the running process one that cannot be looked into. Which processes are, is their own decision.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes this process non-dumpable: no core dump, no debugger, no `/proc/PID/mem` for other processes of the same user
/// (`PR_SET_DUMPABLE` in prctl(2)), and a core size limit of zero that the programs it starts inherit.
///
/// To be called first thing in every program that holds a secret. Starting another program undoes the former, so that
/// one calls it again.
pub fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}
