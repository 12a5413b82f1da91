#!/usr/bin/env bash
# A daemon on a private bus with scratch state, and a shell in which `obnova` speaks to it. Everything ends with the shell.
source "$(dirname "$0")/environment.sh"
wants_to_build
wants dbus-daemon command -v dbus-daemon
bring_lacking
bound_target
cargo build --locked -p obnovad -p obnova

SCRATCH=$(mktemp -d)
BUS_PID=''
# Without its bus the daemon ends, too.
trap 'stop $BUS_PID; rm -rf "$SCRATCH"' EXIT

# The bus starts the daemon, here as on a real desktop: it leaves when there is nothing to watch, and comes again when spoken to.
mkdir "$SCRATCH/services"
cat >"$SCRATCH/services/org.obnova.Daemon1.service" <<EOF
[D-BUS Service]
Name=org.obnova.Daemon1
Exec=/bin/sh $SCRATCH/start
EOF
cat >"$SCRATCH/start" <<EOF
export XDG_CONFIG_HOME="$SCRATCH/config"
exec "$CARGO_TARGET_DIR/debug/obnovad" --state-dir "$SCRATCH/state" 2>>"$SCRATCH/log"
EOF
start_bus "$SCRATCH"

echo "obnovad runs on a bus of its own; state, log and your files are in $SCRATCH until you leave this shell."
cd "$SCRATCH"
PATH=$CARGO_TARGET_DIR/debug:$PATH PS1='obnova> ' "${SHELL:-/bin/bash}" || true
