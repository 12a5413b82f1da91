#!/usr/bin/env bash
# reader.sh DIRECTORY: two card readers of one's own: a pcscd in a mount and a network namespace of its own, with the driver vpcd,
# which listens at ports 35963 and 35964 of that namespace's loopback interface. Says `READY PID`, the process whose namespaces they
# are; takes the lines `stop` and `start`, which end and start pcscd, and answers each with `ok`. Ends with its input.
source "$(dirname "$0")/environment.sh"
directory=$1
if [ "${2:-}" != --inside ]; then
    wants_cards
    mkdir -p "$OBNOVA_CACHE"
    (flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/card.lock"
    mkdir -p /run/pcscd
    exec unshare --mount --net --propagation private -- "$0" "$directory" --inside
fi

ip link set lo up
# The driver writes each command in two pieces and waits for the first to be acknowledged: at once, or 40 ms go by each time.
for range in 127.0.0.0/8 127.0.0.1; do
    ip route change local "$range" dev lo table local proto kernel scope host src 127.0.0.1 quickack 1
done
mount -t tmpfs none /run/pcscd
# This driver and no other: real readers are none of a test's business.
mkdir -p "$directory/readers"
cp /usr/lib/pcsc/drivers/serial/libifdvpcd.so "$directory"
mount -t tmpfs none /usr/lib/pcsc/drivers
cat >"$directory/readers/vpcd" <<EOF
FRIENDLYNAME "Yubico YubiKey Virtual"
DEVICENAME /dev/null:0x8C7B
LIBPATH $directory/libifdvpcd.so
CHANNELID 0x8C7B
EOF

start() {
    pcscd --foreground --config "$directory/readers" >>"$directory/pcscd.log" 2>&1 </dev/null &
    service=$!
    await 200 pcscd test -S /run/pcscd/pcscd.comm || { cat "$directory/pcscd.log" >&2; exit 1; }
}

end() {
    stop "$service"
    rm -f /run/pcscd/*
}

trap end EXIT
start
echo "READY $$"
while read -r line; do
    case $line in
    stop) end ;;
    start) start ;;
    *) echo "no such command: $line" >&2; exit 2 ;;
    esac
    echo ok
done
