//! Random numbers from the kernel, where a guess must not help: salts, serials, ids of questions; and where many must not
//! do the same at the same moment.

use chrono::TimeDelta;

/// So many random bytes, as hex. The kernel's source does not fail after boot; should it, the process must not go on.
#[expect(clippy::expect_used, reason = "without randomness no salt and no serial may be made")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

/// A random time of whole seconds that is shorter than this one.
pub(crate) fn within(longest: TimeDelta) -> TimeDelta {
    let seconds = i64::from(u32::from_ne_bytes(bytes()));
    TimeDelta::seconds(seconds % longest.num_seconds().max(1))
}

/// `count` random bytes (at most 32) as lower-case hex.
pub(crate) fn hex(count: usize) -> String {
    use std::fmt::Write;
    bytes::<32>().iter().take(count).fold(String::with_capacity(count * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
