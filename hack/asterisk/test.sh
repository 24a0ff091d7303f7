#!/usr/bin/env bash
# test.sh: everything that is proven on running Asterisk servers. Most of the
# time somebody waits for a phone or a clock, so that the suite runs in lanes
# side by side; each has its own API server, managers, servers and phones.
# KUBEBUILDER_ASSETS is what `make assets` prints.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

flags=(-buildvcs=false -count=1 -timeout 40m -tags pbx)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The root filesystems come first: no lane has to wait for another's.
if [ -z "${ROSTER_TEST_ASTERISK:-}" ] && [ "$(id -u)" = 0 ]; then
  hack/asterisk/rootfs.sh 22 >/dev/null
  hack/asterisk/rootfs.sh 16 >/dev/null
fi
go vet -tags pbx ./hack/asterisk/... ./internal/telephony/asterisk/...

names=() pids=()
lane() {
  local name=$1
  shift
  "$@" >"$out/$name.log" 2>&1 &
  names+=("$name") pids+=($!)
}
suite() { go test "${flags[@]}" ./hack/asterisk/suite -args --ginkgo.no-color "$@"; }

lane servers suite --ginkgo.focus-file=servers_test --ginkgo.focus-file=offboarding_test
lane shift suite --ginkgo.focus-file=shift_test --ginkgo.focus-file=extensions_test
# Whatever is in no other lane.
lane rest suite --ginkgo.skip-file='(servers|offboarding|shift|extensions)_test'
wait "${pids[0]}" || true
lane parts go test "${flags[@]}" -p 1 ./hack/asterisk/lab ./hack/asterisk/phone
lane adapter go test "${flags[@]}" -run TestPBX ./internal/telephony/asterisk

failed=0
for i in "${!names[@]}"; do
  if wait "${pids[$i]}"; then
    grep -hE '^(ok|---|\?)|SKIPPED|NOTHING WAS PROVEN' "$out/${names[$i]}.log" || true
  else
    failed=1
    printf '\n=== %s: FAILED\n' "${names[$i]}"
    cat "$out/${names[$i]}.log"
  fi
done
exit "$failed"
