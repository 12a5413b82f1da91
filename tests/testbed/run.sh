#!/usr/bin/env bash
# A daemon on a private bus with scratch state, and a shell in which `obnova` speaks to it. Everything ends with the shell.
source "$(dirname "$0")/environment.sh"
wants_to_build
wants dbus-daemon command -v dbus-daemon
bring_lacking
bound_target
cargo build --locked -p obnovad -p obnova

SCRATCH=$(mktemp -d)
BUS_PID='' DAEMON_PID=''
trap 'stop $DAEMON_PID $BUS_PID; rm -rf "$SCRATCH"' EXIT
start_bus "$SCRATCH"
start_daemon "$SCRATCH"

echo "obnovad runs on a bus of its own; state, log and your files are in $SCRATCH until you leave this shell."
cd "$SCRATCH"
DBUS_SESSION_BUS_ADDRESS=$BUS PATH=$CARGO_TARGET_DIR/debug:$PATH PS1='obnova> ' "${SHELL:-/bin/bash}" || true
