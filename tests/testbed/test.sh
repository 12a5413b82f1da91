#!/usr/bin/env bash
# The hermetic tests: they need dbus-daemon and openssl, but no root and no other server. `check.sh` adds the real peers.
# `--features F` is handed on.
source "$(dirname "$0")/environment.sh"
wants_to_test
bring_lacking
bound_target

# All targets first: the programs that the tests start are then the ones of this very source, with the same features.
cargo build --locked --workspace --all-targets "$@"
# The examples in the documentation first: what the output closes with is then the summary of the tests proper.
cargo test --locked --workspace --quiet --doc "$@"
cargo test --locked --workspace --no-fail-fast --lib --bins --tests "$@"
