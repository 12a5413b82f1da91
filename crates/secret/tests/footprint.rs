//! What a process gives back, in a program of its own that nothing else runs in.

use std::fs;

use obnova_secret::footprint;

#[test]
fn what_is_over_is_given_back_and_all_goes_on() {
    footprint::give_back_soon();
    let blocks: Vec<Vec<u8>> = (0..4000).map(|number| vec![1; 1000 + number % 7]).collect();
    // One in 64 stays: what becomes free lies between them, and not at the heap's end.
    let kept: Vec<Vec<u8>> =
        blocks.into_iter().enumerate().filter(|(number, _)| number % 64 == 0).map(|(_, block)| block).collect();
    let before = figures();
    footprint::settle().expect("settled");
    let after = figures();
    assert!(after.code < before.code, "code: {} kB of {}", after.code, before.code);
    assert!(after.own + 1000 < before.own, "own: {} kB of {}", after.own, before.own);
    assert!(kept.iter().all(|block| block.iter().all(|byte| *byte == 1)), "what is in use stays what it is");
    footprint::settle().expect("settled again");
}

/// What is mapped of the program's code, and what the process has of memory of its own, in kB.
struct Figures {
    code: u64,
    own: u64,
}

fn figures() -> Figures {
    let program = std::env::current_exe().expect("a path").display().to_string();
    let kilobytes = |line: &str| line.trim_end_matches("kB").trim().parse::<u64>().expect("a number");
    let (mut figures, mut of_code) = (Figures { code: 0, own: 0 }, false);
    for line in fs::read_to_string("/proc/self/smaps").expect("read").lines() {
        if let Some(size) = line.strip_prefix("Rss:").filter(|_| of_code) {
            figures.code += kilobytes(size);
        } else if let Some(size) = line.strip_prefix("Anonymous:") {
            (figures.own, of_code) = (figures.own + kilobytes(size), false);
        } else if line.ends_with(&program) {
            of_code = line.contains(" r-xp ");
        }
    }
    figures
}
