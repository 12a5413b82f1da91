//! Owns the library: opened once, when the first context is wanted, and never closed.

/// From the C declarations: a table of addresses, and for each function one that calls the library's own, or says that there
/// is no service where there is no library.
macro_rules! functions {
    ($($function:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        struct Library {
            $($function: unsafe extern "C" fn($($type),*) -> LONG,)*
        }

        impl Library {
            /// `None` without the library, or without one of its functions.
            fn open() -> Option<Self> {
                let library = crate::library::Open::new(c"libpcsclite.so.1")?;
                Some(Self {
                    $($function: {
                        let address = library.address(concat!(stringify!($function), "\0"))?;
                        #[expect(unsafe_code, reason = "an address becomes the function that PC/SC declares under its name")]
                        // SAFETY: the address is not null, and pcsc-lite's function of this name has this C signature
                        // (winscard.h; its soname stands for that). A function's pointer is as large as any other.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> LONG>(address) }
                    },)*
                })
            }
        }

        /// Looked for again as long as it is not there: it may be installed meanwhile.
        fn library() -> Option<&'static Library> {
            static LIBRARY: std::sync::OnceLock<Library> = std::sync::OnceLock::new();
            match LIBRARY.get() {
                Some(library) => Some(library),
                None => Library::open().map(|library| LIBRARY.get_or_init(|| library)),
            }
        }

        $(
            #[doc = concat!("pcsc-lite's function of this name, or [`SCARD_E_NO_SERVICE`] without pcsc-lite.")]
            ///
            /// # Safety
            ///
            /// As pcsc-lite documents it: handles are its own, pointers lead to as much as the lengths say.
            #[expect(unsafe_code, reason = "PC/SC is a C interface")]
            pub unsafe fn $function($($argument: $type),*) -> LONG {
                match library() {
                    // SAFETY: the caller's promises are passed on.
                    Some(library) => unsafe { (library.$function)($($argument),*) },
                    None => SCARD_E_NO_SERVICE,
                }
            }
        )*
    };
}

pub(crate) use functions;

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// A library that stays open.
pub(crate) struct Open(NonNull<c_void>);

impl Open {
    pub(crate) fn new(name: &CStr) -> Option<Self> {
        #[expect(unsafe_code, reason = "opening a library runs its code")]
        // SAFETY: the name is a C string; pcsc-lite's initialisers only read the environment.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self)
    }

    /// The address of what the library exports under this name, which ends with a NUL.
    pub(crate) fn address(&self, name: &str) -> Option<*mut c_void> {
        let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
        #[expect(unsafe_code, reason = "a C call")]
        // SAFETY: the handle is that of an open library, and the name is a C string.
        let address = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_none() {
        assert!(Open::new(c"libpcsclite-that-nobody-has.so").is_none());
        let c = Open::new(c"libc.so.6").expect("the C library");
        assert!(c.address("dlopen_that_nobody_has\0").is_none());
        assert!(c.address("getpid\0").is_some());
        assert!(c.address("getpid").is_none(), "no C string");
    }
}
