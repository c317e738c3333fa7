#!/bin/sh
# Makes the authorities and certificates of the tests. They are checked in, good from 2020 for a century, so that no clock
# refuses them, and protect nothing.
set -eu
cd "$(dirname "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
from=20200101000000Z
until=21200101000000Z
key() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$1" -out "$work/request"
}
# authority FILE NAME: its certificate in FILE.pem, its key and records in the work folder.
authority() {
  mkdir "$work/$1"
  cat > "$work/$1/cnf" << END
[ca]
default_ca = d
[d]
dir = $work/$1
database = $work/$1/index
crlnumber = $work/$1/crlnumber
new_certs_dir = $work/$1
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
[node]
basicConstraints = CA:FALSE
END
  : > "$work/$1/index"
  echo 01 > "$work/$1/crlnumber"
  key "$work/$1/key" "$2"
  openssl ca -batch -notext -config "$work/$1/cnf" -selfsign -keyfile "$work/$1/key" -extensions authority \
    -startdate $from -enddate $until -in "$work/request" -out "$1.pem"
}
# issue AUTHORITY ARGUMENT...
issue() {
  by="$1"
  shift
  openssl ca -batch -notext -config "$work/$by/cnf" -cert "$by.pem" -keyfile "$work/$by/key" "$@"
}
# certificate NAME AUTHORITY
certificate() {
  key "$1.key" "$1"
  issue "$2" -extensions node -startdate $from -enddate $until -in "$work/request" -out "$1.pem"
}
authority authority "coterie tests"
authority stranger-authority "coterie tests, strangers"
for name in ann bob cat; do certificate "$name" authority; done
certificate eve stranger-authority
# Bob's certificate is revoked.
issue authority -revoke bob.pem
issue authority -gencrl -crl_lastupdate $from -crl_nextupdate $until -out revoked.pem
