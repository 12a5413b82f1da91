#!/usr/bin/env bash
# Writes daemon/layout.ld anew: which functions of the release build run when somebody asks for a list or for the status, found out by
# Valgrind on a daemon with twenty certificates. Worth doing when `make bench` comes near its limits of memory.
source "$(dirname "$0")/environment.sh"
wants_to_test
wants valgrind command -v valgrind
wants binutils command -v nm
bring_lacking
bound_target
CARGO_PROFILE_RELEASE_STRIP=none cargo build --locked --release -p obnovad -p obnova

SCRATCH=$(mktemp -d /tmp/obnova.XXXXXX)
BUS_PID='' VALGRIND_PID=''
trap 'stop $VALGRIND_PID $BUS_PID; rm -rf "$SCRATCH"' EXIT
mkdir "$SCRATCH/certificates"
for number in $(seq 20); do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $((number * 30)) -subj "/CN=Number $number" \
        -keyout /dev/null -out "$SCRATCH/certificates/$number.pem" 2>/dev/null
done
start_bus "$SCRATCH"
export XDG_CONFIG_HOME=$SCRATCH/config
program=$CARGO_TARGET_DIR/release/obnovad
ask() { "$CARGO_TARGET_DIR/release/obnova" --bus "$BUS" "$@" >/dev/null || [ $? = 3 ]; }
valgrind --tool=callgrind --callgrind-out-file="$SCRATCH/calls" --demangle=no "$program" --bus "$BUS" --state-dir "$SCRATCH/state" \
    2>"$SCRATCH/log" &
VALGRIND_PID=$!
await 600 obnovad ask status
ask watch "file:$SCRATCH/certificates"
# What ran until now was for the start and for looking.
callgrind_control --zero "$VALGRIND_PID" >/dev/null
ask list
ask list --json
ask status
callgrind_control --dump "$VALGRIND_PID" >/dev/null
await 100 "what has run" test -s "$SCRATCH/calls.1"
stop "$VALGRIND_PID"

# The names that the compiler gives have an end of their own for each build.
nm "$program" | sed -n 's/^[0-9a-f]* [tTwW] //p' | sort -u >"$SCRATCH/own"
sed -n 's/^c\{0,1\}fn=([0-9]*) //p' "$SCRATCH/calls.1" | sed "s/'[0-9]*\$//" | sort -u | comm -12 - "$SCRATCH/own" |
    sed 's/17h[0-9a-f]\{16\}E/17h*E/; s/Cs[0-9A-Za-z]*_/Cs*_/g' | grep -vx main | LC_ALL=C sort -u >"$SCRATCH/functions"
{
    echo '/* Written by `make layout`: the functions that run when somebody asks the resting daemon for a list or for its status. Together'
    echo '   they take a fifth of the room that they take spread over the program, of which the kernel maps 64 KB around each. */'
    echo 'SECTIONS {'
    echo '    .text.resting : {'
    sed 's/.*/        *(.text.&)/' "$SCRATCH/functions"
    echo '    }'
    echo '} INSERT BEFORE .text;'
} >daemon/layout.ld
echo "daemon/layout.ld: $(wc -l <"$SCRATCH/functions") functions"
