#!/usr/bin/env bash
# Speed and size of the release build against their limits, and beside certmonger on the same files: some minutes of an otherwise
# calm machine. Only root may look into the processes' memory, and brings certmonger here if it is lacking.
source "$(dirname "$0")/environment.sh"
wants_to_test
[ "$(id -u)" != 0 ] || wants certmonger command -v certmonger
bring_lacking
bound_target

# What is measured is built as it is installed; what measures need not be fast.
cargo build --locked --release -p obnovad -p obnova -p obnova-tray
cargo build --locked -p obnova-tests --example bench
"$CARGO_TARGET_DIR/debug/examples/bench" "$CARGO_TARGET_DIR/release" "$OBNOVA_CACHE/bench"
