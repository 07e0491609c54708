#!/usr/bin/env bash
# Starts a real API server, with no node, in a network of its own and lets it judge each manifest: nothing is stored. All ends with it.
set -euo pipefail
K8S=${K8S:?set K8S to the folder of build.sh}
if [ -z "${SALLYPORT_JUDGE:-}" ]; then exec env SALLYPORT_JUDGE=1 unshare --net --pid --fork --kill-child bash "$0" "$@"; fi
ip link set lo up
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
cd "$place"
say() { printf 'kubernetes: %s\n' "$*"; }

openssl genrsa -out account.key 2048 2> /dev/null
printf 'judge-token,admin,admin,system:masters\n' > tokens.csv
etcd --data-dir "$place/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 > etcd.log 2>&1 &
"$K8S/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
  --cert-dir="$place/pki" --service-cluster-ip-range=10.96.0.0/16 --service-account-key-file=account.key \
  --service-account-signing-key-file=account.key --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --token-auth-file=tokens.csv --authorization-mode=RBAC > apiserver.log 2>&1 &
export KUBECACHEDIR=$place/cache
kubectl() { "$K8S/bin/kubectl" --server=https://127.0.0.1:6443 --insecure-skip-tls-verify --token=judge-token "$@"; }
for _ in $(seq 300); do kubectl get --raw /readyz > /dev/null 2>&1 && break; sleep 1; done
kubectl get --raw /readyz > /dev/null || { tail -5 apiserver.log; exit 1; }
say "an API server is up: $(kubectl version -o json 2> /dev/null | sed -n 's/.*"gitVersion": "\(v[^"]*\)".*/\1/p' | tail -1)"
kubectl create namespace sallyport > /dev/null
kubectl label namespace sallyport pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/enforce-version=latest > /dev/null

# Kinds that a server knows only when somebody has added them: the schemas of npm judge those, in npm test.
own_kinds='^apiVersion: (gateway\.networking\.k8s\.io|monitoring\.coreos\.com)/'
failed=0
for file in "$@"; do
  csplit --quiet --elide-empty-files --prefix=part. --suppress-matched "$file" '/^---$/' '{*}'
  count=0
  for part in part.*; do
    if grep -q '^kind:' "$part" && ! grep -Eq "$own_kinds" "$part"; then
      count=$((count + 1))
      # A warning is a fault, too: that of Pod Security is all that a Deployment gets.
      answer=$(kubectl apply --dry-run=server --validate=strict --namespace sallyport -f "$part" 2>&1) || failed=1
      if [ "$failed" = 1 ] || grep -q Warning <<< "$answer"; then say "$(basename "$file"): $answer"; failed=1; fi
    fi
    rm "$part"
  done
  say "$(basename "$file"): $count objects were judged"
done
exit "$failed"
