#!/usr/bin/env bash
# Brings a token of software, and whoever looks at tokens without us; builds the module that can stand in between, unless it was
# built before, and says where it is.
source "$(dirname "$0")/environment.sh"
wants_tokens
source=tests/testbed/token/between.c
directory=$OBNOVA_CACHE/token
module=$directory/between-$(sha256sum "$source" | cut -c1-16).so
mkdir -p "$directory"

# Several tests want it at once; one of them builds.
exec {build}>"$directory/build.lock"
flock "$build"
bring_lacking >&2
if ! [ -e "$module" ]; then
    cc -std=gnu11 -Wall -Wextra -Werror -O1 -shared -fPIC -o "$module.new" "$source" -ldl
    mv "$module.new" "$module"
fi
echo "$module"
