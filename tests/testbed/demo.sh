#!/usr/bin/env bash
# The whole story once, on a private bus with scratch files: a real .p12 with 20 days left is watched, warned about, renewed,
# and the result judged by OpenSSL. Every check that fails ends it with exit code 1.
source "$(dirname "$0")/environment.sh"
wants_to_test
bring_lacking
bound_target

# The development build: from nothing it takes half as long as the small one that is installed, and this is about what happens, not
# how fast. The tray is not needed.
echo "Building (the first time takes some minutes)."
cargo build --locked -p obnovad -p obnova --bins --examples

# Not below $TMPDIR, which may have spaces in it: the bus address could not say them.
SCRATCH=$(mktemp -d /tmp/obnova.XXXXXX)
BUS_PID='' DAEMON_PID='' NOTICES_PID=''
trap 'stop $NOTICES_PID $DAEMON_PID $BUS_PID; rm -rf "$SCRATCH"' EXIT
OLD=$SCRATCH/anna.p12
NEW=$SCRATCH/anna-renewed.p12
PASSWORD='blåbær and cream'

main() {
    chapter "A certificate for Anna's mail that ends in 20 days, made by $(openssl version | cut -d' ' -f1,2)"
    make_certificate
    describe "$OLD"
    before=$(sha256sum <"$OLD")

    chapter "A private bus, and obnovad on it with an empty state"
    start_bus "$SCRATCH"
    start_daemon "$SCRATCH"
    "$CARGO_TARGET_DIR/debug/examples/notices" >"$SCRATCH/notices" 2>"$SCRATCH/notices.log" &
    NOTICES_PID=$!
    await 100 "whoever shows notifications" grep -q listening "$SCRATCH/notices.log"
    echo "obnovad runs as process $DAEMON_PID"

    chapter "The file is watched, and the warning comes"
    obnova watch "p12:$OLD" "password=$PASSWORD"
    await 100 "the warning" grep -q '\[' "$SCRATCH/notices"
    echo
    echo "This is what pops up beside the clock (once, not again tomorrow):"
    cat "$SCRATCH/notices"
    warned=$(wc -l <"$SCRATCH/notices")
    echo
    obnova status

    chapter "It is renewed"
    obnova renew --to "$NEW" --wait "consent=renewal:yes" "password=$PASSWORD"
    obnova list
    await 100 "the good news" both_notices
    echo
    echo "And this pops up then:"
    tail -n +"$((1 + warned))" "$SCRATCH/notices"
    check "there was one warning, and no other" [ "$(grep -c 'ends in' "$SCRATCH/notices")" = 1 ]

    chapter "OpenSSL looks at the result"
    describe "$NEW"
    judge

    chapter "What happened, as obnova tells it"
    obnova log
    printf '\nAll is well: the old file is as it was, the new one is in its place.\n'
}

chapter() {
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        printf '\n\033[1m== %s\033[0m\n' "$*"
    else
        printf '\n== %s\n' "$*"
    fi
}

# obnova VERB… [ANSWER…]: shows the command, runs it, and hands over the answers (words like password=…), which stand on no command line.
obnova() {
    local words=() answers=() word code=0
    for word in "$@"; do
        case $word in
        password=* | consent=*) answers+=("$word") ;;
        *) words+=("$word") ;;
        esac
    done
    printf '$ obnova %s\n' "${words[*]}"
    if [ ${#answers[@]} -gt 0 ]; then
        command obnova --secret-fd 3 "${words[@]}" 3< <(printf '%s\n' "${answers[@]}") || code=$?
    else
        command obnova "${words[@]}" || code=$?
    fi
    # 3 only says that something waits for a person: here, the renewal that comes next.
    [ "$code" = 0 ] || [ "$code" = 3 ] || exit "$code"
}

both_notices() {
    [ "$(grep -c '\[' "$SCRATCH/notices")" = 2 ]
}

# `openssl req -x509 -days 20` would make a certificate that lives for 20 days in all, which is warned about later: this one was made
# two years ago, and that takes `openssl ca`.
make_certificate() {
    mkdir "$SCRATCH/ca"
    touch "$SCRATCH/ca/index"
    cat >"$SCRATCH/ca/openssl.cnf" <<EOF
[req]
distinguished_name = name
prompt = no
string_mask = utf8only
[name]
C = DK
O = Nordlys
CN = Anna Nørgaard
emailAddress = anna@nordlys.example
[ca]
default_ca = own
[own]
database = $SCRATCH/ca/index
new_certs_dir = $SCRATCH/ca
default_md = sha256
rand_serial = yes
preserve = yes
policy = any
x509_extensions = mail
[any]
countryName = supplied
organizationName = supplied
commonName = supplied
emailAddress = supplied
[mail]
subjectAltName = email:anna@nordlys.example
keyUsage = critical,digitalSignature,keyAgreement
extendedKeyUsage = emailProtection
EOF
    {
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -utf8 -config "$SCRATCH/ca/openssl.cnf" \
            -keyout "$SCRATCH/ca/key.pem" -out "$SCRATCH/ca/request.pem"
        openssl ca -selfsign -batch -notext -utf8 -config "$SCRATCH/ca/openssl.cnf" -keyfile "$SCRATCH/ca/key.pem" \
            -startdate "$(date -u -d '-710 days' +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d '+20 days 1 hour' +%Y%m%d%H%M%SZ)" \
            -in "$SCRATCH/ca/request.pem" -out "$SCRATCH/ca/certificate.pem"
    } 2>"$SCRATCH/ca/log" || { cat "$SCRATCH/ca/log" >&2; exit 1; }
    printf '%s' "$PASSWORD" >"$SCRATCH/password"
    openssl pkcs12 -export -inkey "$SCRATCH/ca/key.pem" -in "$SCRATCH/ca/certificate.pem" -name 'Anna Nørgaard' \
        -passout "file:$SCRATCH/password" -out "$OLD"
    rm -r "$SCRATCH/ca"
}

certificate_in() {
    openssl pkcs12 -in "$1" -passin "file:$SCRATCH/password" -nokeys -clcerts
}

describe() {
    echo "$1"
    certificate_in "$1" | openssl x509 -noout -subject -ext subjectAltName -dates -nameopt utf8,sep_comma_plus
}

public_key_of_certificate() {
    certificate_in "$1" | openssl x509 -noout -pubkey
}

public_key_of_key() {
    openssl pkcs12 -in "$1" -passin "file:$SCRATCH/password" -nocerts -noenc | openssl pkey -pubout
}

names() {
    certificate_in "$1" | openssl x509 -noout -subject -ext subjectAltName,extendedKeyUsage
}

judge() {
    check "the key in the new file belongs to its certificate" [ "$(public_key_of_key "$NEW")" = "$(public_key_of_certificate "$NEW")" ]
    check "it is a new key" [ "$(public_key_of_key "$NEW")" != "$(public_key_of_key "$OLD")" ]
    check "subject, address and usage are the old ones" [ "$(names "$NEW")" = "$(names "$OLD")" ]
    certificate_in "$NEW" >"$SCRATCH/renewed.pem"
    check "the certificate's signature is right" openssl verify -CAfile "$SCRATCH/renewed.pem" "$SCRATCH/renewed.pem"
    certificate_in "$OLD" >"$SCRATCH/old.pem"
    check "it ends after the old one" later "$SCRATCH/renewed.pem" "$SCRATCH/old.pem"
    check "the certificate alone stands beside it, for others" openssl x509 -in "${NEW%.p12}.crt" -noout
    check "only its owner may read the new file" [ "$(stat -c %a "$NEW")" = 600 ]
    check "the password stands neither in the state nor in the log" nowhere "$PASSWORD" "$SCRATCH/state" "$SCRATCH/log"
    check "the old file is byte for byte as it was" [ "$(sha256sum <"$OLD")" = "$before" ]
}

later() {
    [ "$(date -d "$(openssl x509 -in "$1" -noout -enddate | cut -d= -f2)" +%s)" -gt "$(date -d "$(openssl x509 -in "$2" -noout -enddate | cut -d= -f2)" +%s)" ]
}

# nowhere TEXT PATH…: no file below the paths has the text, and there are files to look in.
nowhere() {
    local text=$1
    shift
    grep -rqa . "$@" && ! grep -rqaF "$text" "$@"
}

check() {
    local what=$1
    shift
    if "$@" >/dev/null 2>"$SCRATCH/reason"; then
        echo "  yes: $what"
    else
        echo "  NO:  $what" >&2
        cat "$SCRATCH/reason" >&2
        exit 1
    fi
}

export PATH=$CARGO_TARGET_DIR/debug:$PATH
main
