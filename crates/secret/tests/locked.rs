//! What the kernel says about the page of a secret, while it lives and after. One test, in a program of its own, so that no
//! other thread maps anything meanwhile.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use obnova_secret::Secret;

const WORDS: &[u8] = b"correct horse battery staple";

#[test]
fn a_secret_is_locked_and_undumpable_until_it_is_gone() {
    let memory = File::open("/proc/self/mem").expect("own memory");
    let mut secret = Secret::from_slice(&mut WORDS.to_vec()).expect("memory");
    let address = secret.expose().as_ptr() as u64;

    let flags = flags_of_mapping(address).expect("a mapping holds the secret");
    for (flag, meaning) in [("lo", "locked"), ("dd", "not dumped"), ("wf", "wiped on fork")] {
        assert!(flags.iter().any(|set| set == flag), "not {meaning}: {flags:?}");
    }

    let mut seen = [0; WORDS.len()];
    memory.read_exact_at(&mut seen, address).expect("mapped");
    assert_eq!(seen, WORDS, "the test looks at the right place");
    secret.truncate(7);
    assert_eq!(secret.expose(), b"correct");
    memory.read_exact_at(&mut seen, address).expect("mapped");
    assert!(seen[7..].iter().all(|byte| *byte == 0), "what was cut off is wiped");

    drop(secret);
    memory.read_exact_at(&mut seen, address).expect_err("unmapped");
    assert_eq!(flags_of_mapping(address), None);
}

/// The `VmFlags` (`proc_pid_smaps(5)`) of the mapping that contains `address`.
fn flags_of_mapping(address: u64) -> Option<Vec<String>> {
    let smaps = fs::read_to_string("/proc/self/smaps").expect("smaps");
    let mut inside = false;
    for line in smaps.lines() {
        let bounds = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        if let Some((Ok(start), Ok(end))) = bounds.map(|(s, e)| (u64::from_str_radix(s, 16), u64::from_str_radix(e, 16))) {
            inside = (start..end).contains(&address);
        } else if let (true, Some(flags)) = (inside, line.strip_prefix("VmFlags:")) {
            return Some(flags.split_whitespace().map(str::to_owned).collect());
        }
    }
    None
}
