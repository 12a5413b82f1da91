//! The instants at which a test may kill the daemon: only in builds with debug assertions, and only if asked to.

use obnova_core::Step;

/// Kills the process without further ado if `OBNOVA_HALT_AT` names this step and instant (`install:acted`; of several
/// certificates the second by `install.1:acted`).
#[cfg(debug_assertions)]
pub(super) fn at(step: Step, member: usize, instant: &str) {
    let place = if member == 0 { format!("{step}:{instant}") } else { format!("{step}.{member}:{instant}") };
    let asked = std::env::var("OBNOVA_HALT_AT").is_ok_and(|asked| asked == place);
    if asked && rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).is_err() {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn at(_step: Step, _member: usize, _instant: &str) {}
