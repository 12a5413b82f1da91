//! How the daemon is linked: the few functions that run while it rests lie together (see `layout.ld`), so that the rest of the program is
//! not in memory (measured after a list: 4.4 MB resident, and 5.3 without).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|said| said == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bin=obnovad=-T{}/layout.ld", env!("CARGO_MANIFEST_DIR"));
    }
}
