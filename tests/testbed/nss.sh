#!/usr/bin/env bash
# Brings NSS's tools (certutil, modutil) here where they are lacking.
source "$(dirname "$0")/environment.sh"
wants libnss3-tools command -v certutil
mkdir -p "$OBNOVA_CACHE"
# Several tests want it at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/nss.lock"
