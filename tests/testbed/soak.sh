#!/usr/bin/env bash
# What takes too long for every change: a renewal at a card that fails at every command in every way that can be told apart.
source "$(dirname "$0")/environment.sh"
wants_to_test
bring_lacking
bound_target

cargo build --locked --workspace --bins
OBNOVA_SOAK=1 cargo test --locked -p obnova-tests --test it -- mishaps:: "$@"
