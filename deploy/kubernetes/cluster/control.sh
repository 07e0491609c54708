#!/usr/bin/env bash
# The control plane, on the machine outside of the nodes: etcd, the API server, its controllers, the scheduler, names and metrics. Runs in
# namespaces (network, mounts, process ids) that end with whoever made them, and everything of the cluster with them.
set -euo pipefail
K8S=${K8S:?}; RUN=${RUN:?}; CONTROL=${CONTROL:?}
P=$RUN/pki
mkdir -p "$RUN/log"

say() { printf 'kubernetes: %s\n' "$*"; }
begin() { local part=$1; shift; setsid nice -n 5 "$@" < /dev/null >> "$RUN/log/$part.log" 2>&1 & }
kubectl() { "$K8S/bin/kubectl" --kubeconfig "$P/admin.conf" "$@"; }

ip link set lo up
ip link add lan type bridge
ip addr add "$CONTROL/24" dev lan
ip link set lan up
sysctl -qw net.ipv4.ip_forward=1
# Services are reached by way of the first node.
ip route add 10.96.0.0/16 via 10.10.0.1
bash "$(dirname "$0")/pki.sh"

etcd=http://127.0.0.1:2379
begin etcd etcd --data-dir "$RUN/etcd" --listen-client-urls $etcd --advertise-client-urls $etcd --listen-peer-urls http://127.0.0.1:2380
begin apiserver "$K8S/bin/kube-apiserver" --etcd-servers=$etcd --secure-port=6443 --advertise-address="$CONTROL" \
  --service-cluster-ip-range=10.96.0.0/16 --client-ca-file="$P/ca.crt" --tls-cert-file="$P/apiserver.crt" \
  --tls-private-key-file="$P/apiserver.key" --service-account-key-file="$P/accounts.pub" \
  --service-account-signing-key-file="$P/accounts.key" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --enable-aggregator-routing=true --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --kubelet-client-certificate="$P/apiserver-kubelet.crt" --kubelet-client-key="$P/apiserver-kubelet.key" \
  --kubelet-preferred-address-types=InternalIP --requestheader-client-ca-file="$P/front-ca.crt" \
  --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
  --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$P/front-proxy.crt" --proxy-client-key-file="$P/front-proxy.key"
for _ in $(seq 300); do kubectl get --raw /readyz > /dev/null 2>&1 && break; sleep 0.5; done
kubectl get --raw /readyz > /dev/null || { tail -5 "$RUN/log/apiserver.log"; exit 1; }
begin controller-manager "$K8S/bin/kube-controller-manager" --kubeconfig="$P/controller-manager.conf" \
  --service-account-private-key-file="$P/accounts.key" --root-ca-file="$P/ca.crt" --cluster-signing-cert-file="$P/ca.crt" \
  --cluster-signing-key-file="$P/ca.key" --allocate-node-cidrs --cluster-cidr=10.244.0.0/16 --use-service-account-credentials \
  --leader-elect=false --bind-address=127.0.0.1 --horizontal-pod-autoscaler-sync-period=5s \
  --horizontal-pod-autoscaler-initial-readiness-delay=5s --horizontal-pod-autoscaler-cpu-initialization-period=10s
begin scheduler "$K8S/bin/kube-scheduler" --kubeconfig="$P/scheduler.conf" --leader-elect=false --bind-address=127.0.0.1
printf '.:53 {\n bind %s\n errors\n kubernetes cluster.local in-addr.arpa {\n  kubeconfig %s c\n  pods insecure\n }\n cache 5\n}\n' \
  "$CONTROL" "$P/admin.conf" > "$RUN/Corefile"
begin coredns "$K8S/bin/coredns" -conf "$RUN/Corefile"
parts=names
if [ -x "$K8S/bin/metrics-server" ]; then
  begin metrics-server "$K8S/bin/metrics-server" --kubeconfig="$P/admin.conf" --authentication-kubeconfig="$P/admin.conf" \
    --authorization-kubeconfig="$P/admin.conf" --secure-port=4443 --cert-dir="$RUN/metrics-server" --kubelet-insecure-tls \
    --kubelet-preferred-address-types=InternalIP --metric-resolution=15s
  parts='names metrics'
fi
for part in $parts; do sed "s/CONTROL/$CONTROL/" "$(dirname "$0")/$part.yaml" | kubectl apply -f - > /dev/null; done
say "an API server is up: $(kubectl version -o json 2> /dev/null | sed -n 's/.*"gitVersion": "\(v[^"]*\)".*/\1/p' | tail -1)"
