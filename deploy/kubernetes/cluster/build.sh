#!/usr/bin/env bash
# Builds Kubernetes, Helm and what a cluster wants beside them from the Go module proxy into $K8S/bin, once: what is there in its version
# is not built again. Needs Go 1.26, gcc and 13 GB for Go's caches; about half an hour on two free cores. With `judge` only what judges
# manifests: a third of that.
set -euo pipefail
K8S=${K8S:?set K8S to a folder that stays}
GO_NICE=${GO_NICE:-15}
KUBERNETES=1.34.4
HELM=3.19.5
COREDNS=1.12.4
KUBE_ROUTER=2.1.0
METRICS_SERVER=0.8.0
PROMETHEUS=0.313.2
PROMETHEUS_ADAPTER=0.12.0
export PATH=$PATH:/usr/local/go/bin GOFLAGS="-p=2 -buildvcs=false -mod=mod" GOWORK=off GOTOOLCHAIN=local
mkdir -p "$K8S/bin" "$K8S/modules" "$K8S/stamps"

say() { printf 'kubernetes: %s\n' "$*"; }
quietly() { nice -n "$GO_NICE" "$@" 2> >(grep -v downloading >&2 || true); }

# The folder of a module in Go's cache.
module_folder() { (cd / && GOFLAGS='' go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); }

# built NAME VERSION: true when that program is there in that version.
built() { [ -x "$K8S/bin/$1" ] && [ "$(cat "$K8S/stamps/$1" 2>/dev/null)" = "$2" ]; }

# timed NAME VERSION COMMAND…: runs it unless it was built, and says how long that took.
timed() {
  local name=$1 version=$2; shift 2
  built "$name" "$version" && return
  local began=$SECONDS
  "$@"
  echo "$version" > "$K8S/stamps/$name"
  say "$name $version took $((SECONDS - began)) s"
}

# Kubernetes names its parts by folders beside itself; outside of its repository they are modules of the same version.
kubernetes_module() {
  local folder parts=v0.${KUBERNETES#1.}
  folder=$(module_folder "k8s.io/kubernetes@v$KUBERNETES")
  mkdir -p "$K8S/modules/kubernetes"; cd "$K8S/modules/kubernetes"
  sed -e 's#^module .*#module scratch.local/kubernetes#' -e "s#=> ./staging/src/\(k8s.io/[a-z-]*\)#=> \1 $parts#" \
    -e "s#^godebug.*#require k8s.io/kubernetes v$KUBERNETES#" "$folder/go.mod" > go.mod
  cp --no-preserve=mode "$folder/go.sum" .
}

kubernetes_program() {
  local flags='-s -w' place
  kubernetes_module
  for place in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $place.gitVersion=v$KUBERNETES -X $place.gitMajor=1 -X $place.gitMinor=34 -X $place.gitTreeState=archive"
    flags+=" -X $place.gitCommit=none -X $place.buildDate=2026-01-01T00:00:00Z"
  done
  quietly go build -ldflags "$flags" -o "$K8S/bin/" "k8s.io/kubernetes/cmd/$1"
}

# What keeps the namespaces of a pod.
pause() { gcc -Os -static -s -DVERSION=3.10 -o "$K8S/bin/pause" "$(module_folder "k8s.io/kubernetes@v$KUBERNETES")/build/pause/linux/pause.c"; }

# program NAME PACKAGE VERSION: one whose module replaces others, which `go install` refuses. It needs nothing beside it.
program() {
  mkdir -p "$K8S/modules/$1"; cd "$K8S/modules/$1"
  [ -f go.mod ] || go mod init "scratch.local/$1"
  go get "$2@v$3" 2> >(grep -v 'added\|downloading' >&2 || true)
  CGO_ENABLED=0 quietly go build -ldflags '-s -w' -o "$K8S/bin/$1" "$2"
}

tool() { GOBIN=$K8S/bin quietly go install -ldflags '-s -w' "$1@v$2"; }

command -v go > /dev/null || { say 'Go is missing: https://go.dev, 1.26 or later'; exit 1; }
for name in kubectl kube-apiserver; do
  timed "$name" "$KUBERNETES" kubernetes_program "$name"
done
timed helm "$HELM" tool helm.sh/helm/v3/cmd/helm "$HELM"
[ "${1:-}" = judge ] && { say "what judges manifests is in $K8S/bin"; exit 0; }
for name in kube-scheduler kube-controller-manager kubelet kube-proxy; do
  timed "$name" "$KUBERNETES" kubernetes_program "$name"
done
timed pause "$KUBERNETES" pause
timed coredns "$COREDNS" tool github.com/coredns/coredns "$COREDNS"
timed kube-router "$KUBE_ROUTER" tool github.com/cloudnativelabs/kube-router/v2/cmd/kube-router "$KUBE_ROUTER"
timed metrics-server "$METRICS_SERVER" program metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server "$METRICS_SERVER"
# Of what Prometheus can find servers by, only the cluster.
GOFLAGS="$GOFLAGS -tags=remove_all_sd,enable_kubernetes_sd" \
  timed prometheus "$PROMETHEUS" program prometheus github.com/prometheus/prometheus/cmd/prometheus "$PROMETHEUS"
timed prometheus-adapter "$PROMETHEUS_ADAPTER" program prometheus-adapter sigs.k8s.io/prometheus-adapter/cmd/adapter "$PROMETHEUS_ADAPTER"
say "everything is in $K8S/bin"
