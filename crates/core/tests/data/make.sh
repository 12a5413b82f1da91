#!/bin/sh
# Makes the certificates of this directory anew, in the current directory. The keys are thrown away with it: the tests read
# certificates only. New keys mean new digests, which the tests name.
set -eu

config() { # the kinds of string that a name may have
	cat <<C
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
preserve = yes
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = optional
[req]
distinguished_name = name
prompt = no
utf8 = yes
string_mask = $1
[name]
CN = unused
[rsa-san]
subjectAltName = email:anna@example.cz,DNS:mail.example.cz
keyUsage = critical,digitalSignature,keyEncipherment
[signing]
basicConstraints = CA:FALSE
keyUsage = digitalSignature,nonRepudiation
[agreement]
keyUsage = keyAgreement,decipherOnly
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = keyCertSign,cRLSign
[host]
subjectAltName = DNS:only.example.org
C
}

make() { # name, serial, start, end, extensions, subject, kinds of string, kind of key
	name=$1 serial=$2 start=$3 end=$4 extensions=$5 subject=$6 strings=$7
	shift 7
	config "$strings" > config
	: > index.txt
	echo "$serial" > serial
	openssl genpkey "$@" -out key
	openssl req -new -utf8 -config config -key key -subj "$subject" -out request
	openssl ca -batch -config config -selfsign -keyfile key -in request -notext \
		-startdate "$start" -enddate "$end" -extensions "$extensions" -out pem
	openssl x509 -in pem -outform DER -out "$name.der"
}

rsa="-algorithm RSA -pkeyopt rsa_keygen_bits:2048"
p256="-algorithm EC -pkeyopt ec_paramgen_curve:P-256"
p384="-algorithm EC -pkeyopt ec_paramgen_curve:P-384"
from=20250101000000Z to=20260101000000Z

make rsa-san 00C0FFEE 20250102030405Z 20280102030404Z rsa-san "/C=CZ/O=Novák, s.r.o./CN=Anna Nováková" utf8only $rsa
make p-256 01 $from $to signing "/CN=P-256 signer" utf8only $p256
make p-384 02 $from $to agreement "/CN=P-384 agreement" utf8only $p384
make ed25519 03 $from $to signing "/CN=Ed25519" utf8only -algorithm ED25519
make authority 04 $from 20350101000000Z authority "/CN=Example Root" utf8only $rsa
# TeletexString (in Latin-1) where it suffices, else BMPString.
make old-strings 05 $from $to signing "/O=Müller GmbH/CN=Žofie Černá" MASK:0x0804 $p256
make huge-serial FEDCBA98765432100123456789ABCDEFFEDCBA98765432100123456789ABCDEF $from $to signing "/CN=Huge serial" utf8only $p256
make year-2060 06 20491231235959Z 20600615120000Z host "/O=Nobody" utf8only $p256

# Version 1: no extension at all.
openssl req -new -config config -key key -subj "/CN=Version one" -out request
openssl x509 -req -in request -signkey key -set_serial 0 -days 3650 -outform DER -out version-1.der
rm -f config index.txt* serial* key request pem ./*.pem
