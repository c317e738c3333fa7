#!/bin/sh
# Makes the authorities and certificates of the tests. They are checked in, good for a century, and protect nothing.
set -eu
cd "$(dirname "$0")"
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=$2" -keyout "$1.key" -out "$1.pem"
}
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 36500 -out "$1.pem"
  rm "$1.csr"
}
authority authority "coterie tests"
authority stranger-authority "coterie tests, strangers"
for name in ann bob cat; do certificate "$name" authority; done
certificate eve stranger-authority
# Bob's certificate is revoked.
touch index.txt
echo 01 > crlnumber
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=36500\n' > crl.cnf
openssl ca -config crl.cnf -cert authority.pem -keyfile authority.key -revoke bob.pem
openssl ca -config crl.cnf -cert authority.pem -keyfile authority.key -gencrl -out revoked.pem
rm -f index.txt* crlnumber* crl.cnf ./*.srl stranger-authority.key authority.key
