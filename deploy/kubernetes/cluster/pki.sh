#!/usr/bin/env bash
# Keys, certificates and kubeconfigs of the cluster's own parts, into $RUN/pki; with a name, those of one more node: pki.sh NAME ADDRESS.
set -euo pipefail
P=${RUN:?}/pki
CONTROL=${CONTROL:?address of the API server}
mkdir -p "$P"; cd "$P"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

authority() {
  key "$1.key"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.crt" \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2> /dev/null
}

# certificate NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE NAMES]
certificate() {
  key "$1.key"
  openssl req -new -key "$1.key" -subj "$3" -out "$1.csr"
  { echo "extendedKeyUsage=$4"; echo keyUsage=critical,digitalSignature; [ -z "${5:-}" ] || echo "subjectAltName=$5"; } > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2> /dev/null
}

kubeconfig() {
  cat > "$1.conf" << CONF
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://$CONTROL:6443", certificate-authority: $P/ca.crt}}]
users: [{name: u, user: {client-certificate: $P/$1.crt, client-key: $P/$1.key}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
current-context: c
CONF
}

if [ $# -eq 2 ]; then
  certificate "$1" ca "/O=system:nodes/CN=system:node:$1" clientAuth,serverAuth "DNS:$1,IP:$2"
  kubeconfig "$1"
  exit
fi

authority ca
authority front-ca
service=kubernetes.default.svc
certificate apiserver ca /CN=kube-apiserver serverAuth \
  "DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local,IP:$CONTROL,IP:10.96.0.1"
certificate apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
certificate front-proxy front-ca /CN=front-proxy-client clientAuth
certificate admin ca /O=system:masters/CN=admin clientAuth
for part in controller-manager scheduler; do certificate $part ca /CN=system:kube-$part clientAuth; done
certificate kube-proxy ca /CN=system:kube-proxy clientAuth
for name in admin controller-manager scheduler kube-proxy; do kubeconfig $name; done
openssl genrsa -out accounts.key 2048 2> /dev/null
openssl rsa -in accounts.key -pubout -out accounts.pub 2> /dev/null
