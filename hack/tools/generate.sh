#!/usr/bin/env bash
# Writes what is generated from api/, controllers/ and internal/ below the
# given folder: `generate.sh .` is `make generate`, `make verify` gives a
# temporary one and compares.
set -euo pipefail

out=${1:?generate.sh FOLDER}
mkdir -p "$out/api/v1alpha1" "$out/config/crd/bases" "$out/config/rbac"
out=$(cd "$out" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
gen=$(hack/tools/build.sh controller-gen)

"$gen" object:headerFile=hack/boilerplate.go.txt paths=./api/... output:object:dir="$out/api/v1alpha1"

# A kind that is gone must not leave its CRD behind.
rm -f "$out"/config/crd/bases/staff.roster.dev_*.yaml
"$gen" crd paths=./api/... output:crd:artifacts:config="$out/config/crd/bases"

paths=()
for dir in controllers internal; do
  if [ -d "$dir" ]; then paths+=("paths=./$dir/..."); fi
done
if [ "${#paths[@]}" -gt 0 ]; then
  "$gen" rbac:roleName=roster-manager "${paths[@]}" output:rbac:artifacts:config="$out/config/rbac"
fi
