# Sourced by hack/controlplane/build.sh and hack/tools/build.sh: builds the
# programs of a pinned module once, into a cache outside the clone, so that a
# fresh clone (and `git clean`) does not pay for them again.
#
# Everything a person reads goes to stderr; stdout belongs to the caller.

say() { printf '%s: %s\n' "$what" "$*" >&2; }

# cache_key FILE...: the pins, the scripts, the platform and the Go release.
# `git hash-object` because git is there by definition and sha256sum may not be.
cache_key() {
  { cat "$@"; go env GOOS GOARCH GOVERSION; } | git hash-object --stdin | cut -c1-16
}

# cache_root: never inside the clone.
cache_root() {
  printf '%s/%s\n' "${ROSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set ROSTER_CACHE}/.cache}/roster}" "$what"
}

# cached FOLDER BUILD: leaves FOLDER as BUILD fills it. BUILD is a function
# that gets the folder to write to. The rename at the end makes a folder that
# exists a complete one; the lock only saves a second builder the work, so a
# machine without flock is still right.
cached() {
  local dir=$1 build=$2 tmp
  if [ -d "$dir" ]; then return; fi
  mkdir -p "$(dirname "$dir")"
  exec 9>"$dir.lock"
  if command -v flock >/dev/null && ! flock --nonblock 9; then
    say "another build of the same is running, waiting for it"
    flock 9
  fi
  if [ ! -d "$dir" ]; then
    tmp=$(mktemp -d "$dir.tmp.XXXXXX")
    # Expanded now on purpose: tmp is gone when the trap runs.
    # shellcheck disable=SC2064
    trap "rm -rf '$tmp'" EXIT
    chmod 755 "$tmp"
    "$build" "$tmp" 9>&-
    # Lost the race (no flock): the other one's is as good.
    if [ ! -d "$dir" ]; then mv "$tmp" "$dir"; fi
    rm -rf "$tmp"
    trap - EXIT
  fi
  exec 9>&-
}

# compile OUT PACKAGE [FLAG...]: one program, with a sign of life while it lasts.
# Flags are given here and not left to GOFLAGS, which may hold anything.
compile() {
  local out=$1 pkg=$2 start=$SECONDS ticker rc=0
  shift 2
  say "building $(basename "$out") ..."
  (
    trap 'exit 0' TERM
    while sleep 15 & wait $!; do
      say "  still building $(basename "$out"), $((SECONDS - start)) s"
    done
  ) &
  ticker=$!
  CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -trimpath "$@" -o "$out" "$pkg" >&2 || rc=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if [ "$rc" != 0 ]; then
    say "building $pkg failed"
    return "$rc"
  fi
  say "built $(basename "$out") in $((SECONDS - start)) s"
}
