#!/usr/bin/env bash
# strongswan.sh: brings strongSwan's `pki` here, a client of EST that is not ours, and says where it is.
source "$(dirname "$0")/environment.sh"
wants strongswan-pki command -v pki
# TLS and HTTPS are its plugins.
wants libstrongswan-standard-plugins test -e /usr/lib/ipsec/plugins/libstrongswan-openssl.so
wants libstrongswan-extra-plugins test -e /usr/lib/ipsec/plugins/libstrongswan-curl.so
mkdir -p "$OBNOVA_CACHE"
# Several tests want it at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/strongswan.lock"
command -v pki
