#!/usr/bin/env bash
# Fails when the tree is not what its own tools make of it. Looks at
# everything before it fails, and changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=()
fail() {
  printf 'verify: %s\n' "$1" >&2
  failed+=("$1")
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

hack/tools/generate.sh "$tmp"
for path in api/v1alpha1/zz_generated.deepcopy.go config/crd/bases config/rbac/role.yaml; do
  # No RBAC marker yet, and no file: that is in agreement.
  if [ ! -e "$tmp/$path" ] && [ ! -e "$path" ]; then continue; fi
  if ! diff -ruN "$path" "$tmp/$path"; then
    fail "$path is not what 'make generate' makes: run it and commit the result"
  fi
done

unformatted=$("$(go env GOROOT)/bin/gofmt" -l .)
if [ -n "$unformatted" ]; then
  printf '%s\n' "$unformatted" >&2
  fail "the files above are not formatted: run 'make fmt'"
fi

for module in . hack/tools hack/controlplane; do
  # The head of the diff says enough; all of it can be a thousand lines.
  if ! tidy=$(cd "$module" && GOWORK=off go mod tidy -diff); then
    head -n 40 <<<"$tidy"
    fail "$module/go.mod is not tidy: run 'go mod tidy' there"
  fi
done

for module in . hack/tools; do
  if ! (cd "$module" && GOWORK=off go vet ./...); then
    fail "go vet found something in $module"
  fi
done

if [ "${#failed[@]}" -gt 0 ]; then
  printf '\nverify: %d problem(s):\n' "${#failed[@]}" >&2
  printf '  - %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "verify: the tree is in order"
