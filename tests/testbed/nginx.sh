#!/usr/bin/env bash
# Brings nginx here where it is lacking, and says where it is. It is started by whoever asks, on a socket and with files of its own.
source "$(dirname "$0")/environment.sh"
wants nginx-light test -x /usr/sbin/nginx
mkdir -p "$OBNOVA_CACHE"
# Several tests want it at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/nginx.lock"
echo /usr/sbin/nginx
