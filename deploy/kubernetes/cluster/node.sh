#!/usr/bin/env bash
# node.sh N: the Nth node of the cluster as a network and mount namespace on the bridge `lan`, with containerd, a kubelet, kube-proxy and
# kube-router for NetworkPolicies. The first node has the control plane beside it (control.sh).
set -euo pipefail
N=$1
K8S=${K8S:?}; RUN=${RUN:?}; CONTROL=${CONTROL:?}
NAME=node$N
ADDRESS=10.10.0.$N
HERE=$RUN/$NAME
SOCKET=/run/containerd-$NAME.sock
mkdir -p "$HERE/cni" "$HERE/kernel" "$HERE/logs" "$RUN/log"

say() { printf 'kubernetes: %s\n' "$*"; }

# An anchor keeps the namespaces; `inside COMMAND` runs there.
setsid unshare -n -m --propagation private sh -c "echo \$\$ > $HERE/anchor; exec sleep infinity" < /dev/null > /dev/null 2>&1 &
until [ -s "$HERE/anchor" ]; do sleep 0.05; done
ANCHOR=$(cat "$HERE/anchor")
printf '#!/bin/bash\nexec nsenter -t %s -n -m --wd=/ -- "$@"\n' "$ANCHOR" > "$HERE/inside"
chmod +x "$HERE/inside"
inside() { "$HERE/inside" "$@"; }

# begin NAME COMMAND…: a part that runs until the cluster ends.
begin() { local part=$1; shift; setsid "$HERE/inside" "$@" < /dev/null >> "$RUN/log/$NAME-$part.log" 2>&1 & }

ip link add "to-$NAME" type veth peer name eth0 netns "$ANCHOR"
ip link set "to-$NAME" master lan up
inside bash -euc "
  mount --make-rshared /
  ip link set lo up; ip addr add $ADDRESS/24 dev eth0; ip link set eth0 up; ip route add default via 10.10.0.100
  sysctl -qw net.ipv4.ip_forward=1
  # A kubelet sets these for the whole machine: here it finds files of its own.
  for setting in vm/overcommit_memory:1 kernel/panic:10 kernel/panic_on_oops:1 vm/panic_on_oom:0; do
    file=$HERE/kernel/\$(echo \${setting%%:*} | tr / _); echo \${setting##*:} > \$file; mount --bind \$file /proc/sys/\${setting%%:*}
  done"
# A whole node must not get as much as one process of this machine: its pods would get less than anything was made for.
SHARES=8192
# Two kubelets under one group would remove each other's pods.
for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
  [ -d /sys/fs/cgroup/$controller ] && mkdir -p "/sys/fs/cgroup/$controller/sallyport-$NAME"
done
echo $SHARES > "/sys/fs/cgroup/cpu/sallyport-$NAME/cpu.shares"
for file in cpuset.cpus cpuset.mems; do cat /sys/fs/cgroup/cpuset/$file > "/sys/fs/cgroup/cpuset/sallyport-$NAME/$file"; done

cat > "$HERE/containerd.toml" << TOML
version = 2
root = "$HERE/containerd"
state = "/run/containerd-$NAME"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:3.10"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$HERE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
TOML
begin containerd containerd -c "$HERE/containerd.toml"
inside bash -c "until ctr -a $SOCKET version > /dev/null 2>&1; do sleep 0.2; done"
for archive in "$RUN"/images/*.tar; do inside ctr -a "$SOCKET" -n k8s.io images import "$archive" > /dev/null; done
say "$NAME has the images"

CONTROL=$CONTROL bash "$(dirname "$0")/pki.sh" "$NAME" "$ADDRESS"
: > "$HERE/resolv.conf"
cat > "$HERE/kubelet.yaml" << YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {x509: {clientCAFile: $RUN/pki/ca.crt}, webhook: {enabled: true}, anonymous: {enabled: false}}
authorization: {mode: Webhook}
tlsCertFile: $RUN/pki/$NAME.crt
tlsPrivateKeyFile: $RUN/pki/$NAME.key
cgroupDriver: cgroupfs
cgroupRoot: /sallyport-$NAME
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
containerRuntimeEndpoint: unix://$SOCKET
oomScoreAdj: 0
evictionHard: {memory.available: 200Mi, nodefs.available: 2%, imagefs.available: 2%}
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
podPidsLimit: 1000
maxOpenFiles: 20000
resolvConf: $HERE/resolv.conf
# Each removes the logs of pods that it does not know.
podLogsDir: $HERE/logs
YAML
begin kubelet nice -n 5 "$K8S/bin/kubelet" --config="$HERE/kubelet.yaml" --kubeconfig="$RUN/pki/$NAME.conf" --hostname-override="$NAME" \
  --node-ip="$ADDRESS" --root-dir="$HERE/kubelet" --cert-dir="$HERE/kubelet-pki"

kubectl() { "$K8S/bin/kubectl" --kubeconfig "$RUN/pki/admin.conf" "$@"; }
PODS=
for _ in $(seq 300); do
  PODS=$(kubectl get node "$NAME" -o jsonpath='{.spec.podCIDR}' 2> /dev/null || true)
  [ -n "$PODS" ] && break; sleep 0.2
done
[ -n "$PODS" ] || { tail -5 "$RUN/log/$NAME-kubelet.log"; exit 1; }
cat > "$HERE/cni/10-bridge.conflist" << JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$HERE/addresses", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
# Everybody finds the pods of this node by way of its address.
ip route add "$PODS" via "$ADDRESS"
echo "$PODS via $ADDRESS" > "$HERE/route"
for other in "$RUN"/node*; do
  [ "$other" = "$HERE" ] && continue
  "$other/inside" ip route add "$PODS" via "$ADDRESS"
  # shellcheck disable=SC2046
  inside ip route add $(cat "$other/route")
done

cat > "$HERE/kube-proxy.yaml" << YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $RUN/pki/kube-proxy.conf}
mode: iptables
hostnameOverride: $NAME
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
begin kube-proxy nice -n 5 "$K8S/bin/kube-proxy" --config="$HERE/kube-proxy.yaml"
begin kube-router "$K8S/bin/kube-router" --kubeconfig="$RUN/pki/admin.conf" --run-firewall=true --run-router=false \
  --run-service-proxy=false --hostname-override="$NAME" --service-cluster-ip-range=10.96.0.0/16
kubectl wait --for=condition=Ready "node/$NAME" --timeout=120s > /dev/null
say "$NAME is ready"
