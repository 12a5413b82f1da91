//! Owns the wiping of ordinary heap memory, for the one program whose libraries copy secrets out of locked pages.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;

use zeroize::Zeroize;

/// The system's allocator, except that memory is zeroised before it is given back.
///
/// For programs that hand a secret to a library that keeps a copy on the heap. Memory that a C library allocates for
/// itself does not pass through here.
pub struct WipingAllocator;

#[expect(unsafe_code, reason = "the trait is unsafe; every request goes to the system's allocator unchanged")]
// SAFETY: `System` keeps the contract; wiping touches only the bytes of a block that its owner has just given up.
// `realloc` is the trait's own: it allocates, copies, and gives the old block back through `dealloc`.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block has `layout.size()` bytes, allocated by `System` and no longer used by anyone.
        unsafe {
            std::slice::from_raw_parts_mut(pointer.cast::<MaybeUninit<u8>>(), layout.size()).zeroize();
            System.dealloc(pointer, layout);
        }
    }
}
