#!/usr/bin/env bash
# Makes sure that kube-apiserver, etcd, kubectl and kube-controller-manager of
# the versions in go.mod exist, and prints their folder as the last line.
# KUBEBUILDER_ASSETS, where given, is used as it is.
set -euo pipefail

what=controlplane
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../tools/cache.sh"

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in kube-apiserver etcd kubectl; do
    if [ ! -x "$KUBEBUILDER_ASSETS/$program" ]; then
      say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $program"
      exit 1
    fi
  done
  say "using KUBEBUILDER_ASSETS"
  cd "$KUBEBUILDER_ASSETS" && pwd
  exit
fi
cd "$here"

# Where the programs say what they are; the module zip has no Git data in it.
version_flags() {
  local version time major minor rest package flags="-s -w"
  version=$(GOWORK=off go list -mod=readonly -m -f '{{.Version}}' k8s.io/kubernetes)
  time=$(GOWORK=off go list -mod=readonly -m -f '{{with .Time}}{{.Format "2006-01-02T15:04:05Z"}}{{end}}' k8s.io/kubernetes)
  IFS=. read -r major minor rest <<<"${version#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
    flags+=" -X $package.gitCommit=unknown -X $package.gitTreeState=archive"
    flags+=" -X $package.buildDate=${time:-1970-01-01T00:00:00Z}"
  done
  printf '%s\n' "$flags"
}

build() {
  local into=$1 start=$SECONDS flags
  say "a Kubernetes control plane is built from source, once: four to five minutes on two cores"
  say "reading modules ..."
  GOWORK=off go mod download >&2
  flags=$(version_flags)
  compile "$into/etcd" go.etcd.io/etcd/server/v3 -ldflags "-s -w"
  compile "$into/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver -ldflags "$flags"
  compile "$into/kube-controller-manager" k8s.io/kubernetes/cmd/kube-controller-manager -ldflags "$flags"
  compile "$into/kubectl" k8s.io/kubernetes/cmd/kubectl -ldflags "$flags"
  say "done in $((SECONDS - start)) s"
}

dir=$(cache_root)/$(cache_key go.mod go.sum build.sh ../tools/cache.sh)
cached "$dir" build
printf '%s\n' "$dir"
