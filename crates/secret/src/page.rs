//! Owns the one mapping behind a secret, and with it nearly all of this crate's `unsafe`. Knows nothing of what the bytes mean.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};
use zeroize::Zeroize;

use crate::SecretError;

/// The most bytes that a secret may have. Far above any PIN or passphrase, and below one page of any architecture.
pub const CAPACITY: usize = 1024;

/// Zeroed bytes in a mapping of their own: locked in memory, excluded from core dumps, empty in a forked child, and
/// zeroised before they are given back.
pub(crate) struct Page {
    start: NonNull<[u8; CAPACITY]>,
}

impl Page {
    /// Maps and locks a page. Fails with [`SecretError::CannotLock`] when `RLIMIT_MEMLOCK` does not allow another one.
    pub(crate) fn new() -> Result<Self, SecretError> {
        let page = Self::map().map_err(SecretError::Memory)?;
        page.advise(Advice::LinuxDontDump).map_err(SecretError::Memory)?;
        page.advise(Advice::LinuxWipeOnFork).map_err(SecretError::Memory)?;
        page.lock().map_err(|source| SecretError::CannotLock { limit: getrlimit(Resource::Memlock).current, source })?;
        Ok(page)
    }

    pub(crate) fn bytes(&self) -> &[u8; CAPACITY] {
        #[expect(unsafe_code, reason = "the mapping is ours, initialised (zeroed by the kernel) and as long-lived as `self`")]
        // SAFETY: `start` points to CAPACITY readable bytes until drop; `&self` excludes writers.
        unsafe {
            self.start.as_ref()
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; CAPACITY] {
        #[expect(unsafe_code, reason = "as for `bytes`, and `&mut self` makes the access exclusive")]
        // SAFETY: `start` points to CAPACITY writable bytes until drop; `&mut self` excludes everyone else.
        unsafe {
            self.start.as_mut()
        }
    }

    /// An anonymous private mapping; the kernel rounds its length up to whole pages, here and in every later call.
    fn map() -> io::Result<Self> {
        #[expect(unsafe_code, reason = "an anonymous mapping at an address of the kernel's choice touches no existing memory")]
        // SAFETY: no address is asked for, so nothing existing is replaced.
        let start = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), CAPACITY, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("the kernel mapped address zero"))?;
        Ok(Self { start })
    }

    fn advise(&self, advice: Advice) -> io::Result<()> {
        #[expect(unsafe_code, reason = "only called with advice that leaves the bytes of this process as they are")]
        // SAFETY: the range is our own mapping; neither DONTDUMP nor WIPEONFORK changes its contents here.
        unsafe {
            Ok(rustix::mm::madvise(self.address(), CAPACITY, advice)?)
        }
    }

    fn lock(&self) -> io::Result<()> {
        #[expect(unsafe_code, reason = "locking pins our own mapping and changes no byte")]
        // SAFETY: the range is our own mapping.
        unsafe {
            Ok(rustix::mm::mlock(self.address(), CAPACITY)?)
        }
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        #[expect(unsafe_code, reason = "nobody can hold a reference to the mapping any more")]
        // SAFETY: the range is exactly the mapping made in `map`, and `self` is not used again. Unmapping unlocks.
        let unmapped = unsafe { rustix::mm::munmap(self.address(), CAPACITY) };
        debug_assert!(unmapped.is_ok(), "a secret's page is its own mapping: {unmapped:?}");
    }
}

#[expect(unsafe_code, reason = "a page owns its mapping as a Box owns its allocation")]
// SAFETY: the mapping belongs to no thread, and all access goes through `&self` or `&mut self`.
unsafe impl Send for Page {}

#[expect(unsafe_code, reason = "a shared page can only be read")]
// SAFETY: `&Page` gives out nothing but `&[u8]`.
unsafe impl Sync for Page {}
