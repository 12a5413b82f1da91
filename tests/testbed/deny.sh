#!/usr/bin/env bash
# Checks deny.toml with a cargo-deny of one known version, built once and kept. Advisories need a network and are not asked.
source "$(dirname "$0")/environment.sh"
VERSION=0.20.2
TOOL=$OBNOVA_CACHE/tools/cargo-deny-$VERSION

if [ ! -x "$TOOL/bin/cargo-deny" ]; then
    wants_to_build
    bring_lacking
    echo "building cargo-deny $VERSION, once"
    # A target directory of its own, thrown away: its dependencies are not ours.
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    CARGO_TARGET_DIR=$scratch cargo install --quiet --locked --no-default-features --root "$TOOL" "cargo-deny@$VERSION" </dev/null
fi
# Every package of the lock file must be at hand before the offline look.
cargo fetch --quiet --locked
"$TOOL/bin/cargo-deny" --offline check -D warnings bans licenses sources
