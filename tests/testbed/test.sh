#!/usr/bin/env bash
# The hermetic tests: they need dbus-daemon and openssl, but no root and no other server. `check.sh` adds the real peers.
# `--features F` is handed on.
source "$(dirname "$0")/environment.sh"
wants_to_test
bring_lacking
bound_target

# All targets first: the programs that the tests start are then the ones of this very source, with the same features.
cargo build --locked --workspace --all-targets "$@"
cargo test --locked --workspace --no-fail-fast "$@"
