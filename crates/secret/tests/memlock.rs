//! What happens where no memory may be locked. In a program of its own: it takes the right away from itself.

use obnova_secret::{Secret, SecretError};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

#[test]
fn a_secret_that_cannot_be_locked_is_refused_with_the_limit() {
    let mut own = capabilities(None).expect("capabilities");
    own.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, own).expect("giving a right up needs none");

    for limit in [0, 1] {
        setrlimit(Resource::Memlock, Rlimit { current: Some(limit), maximum: Some(1) }).expect("lowering needs no right");
        let refused = Secret::from_slice(&mut [1, 2, 3]).expect_err("no page may be locked");
        assert!(matches!(refused, SecretError::CannotLock { limit: Some(told), .. } if told == limit), "{refused:?}");
    }
}
