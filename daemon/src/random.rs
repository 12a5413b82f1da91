//! Random numbers from the kernel, where a guess must not help: salts, serials, ids of questions.

/// So many random bytes, as hex. The kernel's source does not fail after boot; should it, the process must not go on.
#[expect(clippy::expect_used, reason = "without randomness no salt and no serial may be made")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
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
