#!/usr/bin/env bash
# Speed and size of the release build against their limits, and beside certmonger on the same files: some minutes of an otherwise
# calm machine. Only root may look into the processes' memory and have readers of their own, and brings here what is lacking for both.
# bench.sh files, bench.sh mail, bench.sh network, bench.sh cards: one part alone.
source "$(dirname "$0")/environment.sh"
wants_to_test
if [ "$(id -u)" = 0 ]; then
    wants certmonger command -v certmonger
    wants_cards
fi
bring_lacking
bound_target

# What is measured is built as it is installed; what measures need not be fast.
build_release
cargo build --locked -p obnova-tests --example bench --bin card-line
"$CARGO_TARGET_DIR/debug/examples/bench" "$CARGO_TARGET_DIR/release" "$OBNOVA_CACHE/bench" "$@"
