#!/usr/bin/env bash
# Makes sure that a tool of the version in go.mod exists, and prints its path:
#   build.sh controller-gen | golangci-lint
# One folder a tool, so that `make generate` does not wait for the linter.
set -euo pipefail

what=tools
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
cd "$here"

tool=${1:-}
case $tool in
controller-gen) package=sigs.k8s.io/controller-tools/cmd/controller-gen ;;
golangci-lint) package=./golangci-lint ;;
*)
  say "unknown tool '$tool'"
  exit 2
  ;;
esac

build() {
  compile "$1/$tool" "$package" -ldflags "-s -w"
}

dir=$(cache_root)/$(cache_key go.mod go.sum build.sh cache.sh golangci-lint/main.go)-$tool
cached "$dir" build
printf '%s\n' "$dir/$tool"
