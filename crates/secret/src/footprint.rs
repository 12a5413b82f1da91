//! What a process keeps of memory that it does not need any more. Owns nothing secret: it stands in this crate because to say
//! such things to the allocator and the kernel takes `unsafe`.

use std::ffi::c_int;
use std::{fs, io};

use rustix::mm::{Advice, madvise};

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "only the C library can say it")]
unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
    fn malloc_trim(pad: usize) -> c_int;
}

/// What glibc's allocator is told, by the numbers of `malloc.h` (mallopt(3)).
#[cfg(target_env = "gnu")]
const FRUGAL: [(c_int, c_int); 4] = [
    (-8, 1),         // M_ARENA_MAX: one heap for all threads
    (-3, 64 * 1024), // M_MMAP_THRESHOLD: larger blocks stand apart, and go back whole
    (-1, 64 * 1024), // M_TRIM_THRESHOLD: no more is kept free at the top of the heap
    (-2, 16 * 1024), // M_TOP_PAD: nor is more taken in advance
];

/// Has the allocator give freed memory back soon. To be called before there are other threads, or anything large. Does nothing
/// where the allocator is not glibc's.
pub fn give_back_soon() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in FRUGAL {
        // SAFETY: sets a number, under the allocator's own lock. Where it refuses, all stays as it was: that is right, too.
        #[expect(unsafe_code, reason = "only the C library can say it")]
        let _taken = unsafe { mallopt(parameter, value) };
    }
}

/// Gives back what only the work that has just ended has needed: free memory between other blocks, and the program's own code,
/// most of which runs once or never. Its pages stay in the kernel's cache as long as that has room for them, and are mapped
/// again as they are run.
pub fn settle() -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: gives back pages that are wholly free, under the allocator's own lock.
        #[expect(unsafe_code, reason = "only the C library can say it")]
        let _any = unsafe { malloc_trim(0) };
    }
    let here = settle as fn() -> io::Result<()> as usize;
    for Span { start, length } in unchanging(&fs::read_to_string("/proc/self/maps")?, here) {
        // SAFETY: the range is mapped from the program's file and never was writable, so that it reads the same afterwards.
        #[expect(unsafe_code, reason = "in any other range it would lose what was written")]
        unsafe { madvise(std::ptr::with_exposed_provenance_mut(start), length, Advice::LinuxDontNeed) }?;
    }
    Ok(())
}

/// A part of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    length: usize,
}

/// Where the code around an address is mapped, and what stands before it of the same file and cannot be written, by
/// `/proc/self/maps` (proc(5)). Not what stands behind it: there the loader writes addresses before it takes the right to write away.
fn unchanging(maps: &str, here: usize) -> Vec<Span> {
    let mut before: Vec<(Span, [&str; 2])> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, rights, _offset, device, inode, ..] = words[..] else { continue };
        let ends = range.split_once('-').map(|(start, end)| [start, end].map(|end| usize::from_str_radix(end, 16)));
        let Some([Ok(start), Ok(end)]) = ends else { continue };
        let (span, file) = (Span { start, length: end.saturating_sub(start) }, [device, inode]);
        if (start..end).contains(&here) {
            let same = before.into_iter().filter(|(_, other)| *other == file).map(|(span, _)| span);
            return if rights == "r-xp" && inode != "0" { same.chain([span]).collect() } else { Vec::new() };
        }
        if rights == "r--p" {
            before.push((span, file));
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
5592b000-5592c000 r--p 00000000 fe:00 11 /usr/bin/other
559767a1c000-559767b4a000 r--p 00000000 fe:00 7 /usr/bin/obnovad
559767b4a000-559767eb7000 r-xp 0012d000 fe:00 7 /usr/bin/obnovad
559767eb7000-559767edb000 r--p 00499000 fe:00 7 /usr/bin/obnovad
559767edb000-559767ee2000 rw-p 004bc000 fe:00 7 /usr/bin/obnovad
55979dfc6000-55979e030000 rw-p 00000000 00:00 0 [heap]
7fef25512000-7fef25668000 r-xp 00026000 fe:00 9 /usr/lib/libc.so.6 (deleted)
7fef25700000-7fef25701000 r-xp 00000000 00:00 0
";

    #[test]
    fn only_what_was_never_written_is_given_back() {
        let code = Span { start: 0x5597_67b4_a000, length: 0x36_d000 };
        let constants = Span { start: 0x5597_67a1_c000, length: 0x12_e000 };
        let end = code.start + code.length;
        for here in [code.start, code.start + 5, end - 1] {
            assert_eq!(unchanging(MAPS, here), [constants, code]);
        }
        let library = Span { start: 0x7fef_2551_2000, length: 0x15_6000 };
        assert_eq!(unchanging(MAPS, library.start), [library]);
        for elsewhere in [end, 0x5597_67ed_b000, 0x5597_9dfc_6000, 0x7fef_2570_0000, 1] {
            assert_eq!(unchanging(MAPS, elsewhere), [], "{elsewhere:x} is no code of a file");
        }
        assert_eq!(unchanging("nonsense\n\n1-2\nx-y r-xp 0 0 1", 1), []);
    }
}
