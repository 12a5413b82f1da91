//! The wiping allocator, in a program of its own that uses it for everything.

use std::fs::File;
use std::os::unix::fs::FileExt;

use obnova_secret::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

/// Large enough to be a block of its own, small enough to stay in the heap and thus readable after it is free.
const LENGTH: usize = 8192;
/// The C library keeps its own links in the first bytes of a free block.
const LINKS: usize = 64;

#[test]
fn memory_is_wiped_when_it_is_given_back() {
    let memory = File::open("/proc/self/mem").expect("own memory");
    let mut seen = [0; LENGTH];

    let block = vec![0xa5_u8; LENGTH];
    let after_it = vec![0_u8; 64]; // keeps the free block from being merged into the top of the heap and returned
    let address = block.as_ptr() as u64;
    memory.read_exact_at(&mut seen, address).expect("mapped");
    assert!(seen.iter().all(|byte| *byte == 0xa5), "the test looks at the right place");

    drop(block);
    memory.read_exact_at(&mut seen, address).expect("still mapped");
    assert!(seen[LINKS..].iter().all(|byte| *byte == 0));
    drop(after_it);
}
