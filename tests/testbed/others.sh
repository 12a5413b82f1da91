#!/usr/bin/env bash
# others.sh: brings here the other tools that renew certificates, and what opens files to one more user.
source "$(dirname "$0")/environment.sh"
wants certmonger command -v certmonger
wants certbot command -v certbot
wants acl command -v setfacl
wants nginx-light test -x /usr/sbin/nginx
mkdir -p "$OBNOVA_CACHE"
# Several start at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/others.lock"
