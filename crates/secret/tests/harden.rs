//! A hardened process, in a program of its own: it cannot be undone.

use obnova_secret::process::harden;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

#[test]
fn a_hardened_process_cannot_be_dumped() {
    assert_eq!(dumpable_behavior().expect("prctl"), DumpableBehavior::Dumpable, "the test can fail");
    harden().expect("prctl and setrlimit");
    assert_eq!(dumpable_behavior().expect("prctl"), DumpableBehavior::NotDumpable);
    let core = getrlimit(Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
}
