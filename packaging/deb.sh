#!/usr/bin/env bash
# deb.sh [DIRECTORY]: the Debian package, into DIRECTORY or here: what `make install` installs, where Debian wants it. Builds the
# release profile first, unless $OBNOVA_PROGRAMS names a directory that holds the built programs. The same programs, and the same
# $SOURCE_DATE_EPOCH (else the moment of the last commit), make the same package, byte for byte.
source "$(dirname "$0")/../tests/testbed/environment.sh"
directory=$(realpath "${1:-$ROOT}")
wants_to_build
wants dpkg-dev command -v dpkg-shlibdeps
bring_lacking

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$(dpkg-parsechangelog -l packaging/deb/changelog -S Version)" = "$version" ] ||
    { echo "packaging/deb/changelog does not begin with version $version" >&2; exit 1; }
architecture=$(dpkg --print-architecture)
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    # Outside a repository, what the changelog says.
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/deb/changelog -S Timestamp)
fi
export SOURCE_DATE_EPOCH

if [ -z "${OBNOVA_PROGRAMS:-}" ]; then
    # In a place of its own: nothing in it names a path of the machine where it was built.
    export CARGO_TARGET_DIR=$OBNOVA_CACHE/deb
    cargo=${CARGO_HOME:-$HOME/.cargo}
    cargo fetch --quiet --locked
    export RUSTFLAGS="--remap-path-prefix=$ROOT=obnova" CFLAGS="-ffile-prefix-map=$ROOT=obnova"
    for registry in "$cargo"/registry/src/*; do
        RUSTFLAGS+=" --remap-path-prefix=$registry=crates" CFLAGS+=" -ffile-prefix-map=$registry=crates"
    done
    build_release
    OBNOVA_PROGRAMS=$CARGO_TARGET_DIR/release
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stage=$scratch/obnova

main() {
    OBNOVA_PROGRAMS=$OBNOVA_PROGRAMS DESTDIR=$stage PREFIX=/usr packaging/install.sh
    in_debians_places
    control
    # One thread: what is compressed is then the same on every machine.
    dpkg-deb --root-owner-group -Z"${OBNOVA_COMPRESSION:-xz}" --threads-max=1 --build "$stage" "$directory/obnova_${version}_$architecture.deb"
}

in_debians_places() {
    local documents=$stage/usr/share/doc/obnova
    mkdir "$stage/usr/share/zsh/vendor-completions"
    mv "$stage/usr/share/zsh/site-functions/_obnova" "$stage/usr/share/zsh/vendor-completions"
    rmdir "$stage/usr/share/zsh/site-functions"
    strip --strip-unneeded --remove-section=.comment "$stage"/usr/bin/* "$stage"/usr/libexec/obnova/*

    {
        sed "s/@HOLDERS@/$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)/" packaging/deb/copyright
        # The licence's own words, as this format wants them.
        sed '1,/^Copyright/d; /./!d' LICENSE-MIT | sed 's/^/ /; s/^ THE SOFTWARE IS/ .\n&/; s/^ The above/ .\n&/'
    } >"$documents/copyright"
    rm "$documents"/LICENSE-*
    libraries >"$documents/LIBRARIES"
    cp packaging/deb/changelog "$documents/changelog"
    gzip -9n "$documents"/{LIBRARIES,changelog,CHANGELOG.md} "$stage"/usr/share/man/man?/*
    install -D -m 644 packaging/deb/lintian-overrides "$stage/usr/share/lintian/overrides/obnova"
    # What we write by redirection obeys the mask of whoever calls.
    chmod -R u=rwX,go=rX "$stage"
}

# The crates that are compiled into the programs, with their licences' texts, each text once.
libraries() {
    local crate version licence source
    declare -A holders texts
    echo "What others have written and is compiled into these programs, and its licences."
    echo
    while IFS='|' read -r crate licence; do
        version=${crate#* v}
        crate=${crate%% *}
        echo "$crate $version: $licence"
        source=$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/$crate-$version") ||
            { echo "the source of $crate $version is not at hand" >&2; exit 1; }
        source=${source%%$'\n'*}
        while read -r digest file; do
            texts[$digest]=$file
            holders[$digest]+=" $crate"
        done < <(find "$source" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\|unlicense\|copyright\)[^/]*' -exec sha256sum {} + | sort -k 2)
    done < <(cargo tree --locked --prefix none --edges normal -p obnovad -p obnova -p obnova-tray --format '{p}|{l}' |
        sed 's/ (\*)$//; s/ (proc-macro)|/|/; /^$/d; / (\//d' | LC_ALL=C sort -u)
    for digest in $(printf '%s\n' "${!texts[@]}" | LC_ALL=C sort); do
        printf '\n\n%s\n' "---${holders[$digest]} ---"
        cat "${texts[$digest]}"
    done
}

control() {
    local meta=$stage/DEBIAN libraries size
    mkdir "$meta"
    # dpkg-shlibdeps wants to be called where a source package is.
    mkdir "$scratch/debian"
    printf 'Source: obnova\n\nPackage: obnova\nArchitecture: any\n' >"$scratch/debian/control"
    libraries=$(cd "$scratch" && dpkg-shlibdeps -O "$stage"/usr/bin/* "$stage"/usr/libexec/obnova/*)
    libraries=${libraries#shlibs:Depends=}
    size=$(du -sk --apparent-size "$stage" | cut -f1)
    sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/; s/@LIBRARIES@/$libraries/" packaging/deb/control >"$meta/control"
    install -m 644 packaging/deb/conffiles "$meta/conffiles"
    for script in postinst prerm postrm; do
        install -m 755 packaging/deb/$script "$meta/$script"
    done
    (cd "$stage" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$meta/md5sums"
    chmod 755 "$meta"
    chmod 644 "$meta"/{control,md5sums}
}

main
