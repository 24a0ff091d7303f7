#!/usr/bin/env bash
# rootfs.sh 22|16: makes sure that a root filesystem with Asterisk of that
# version exists, and prints its folder as the last line. Asterisk runs in it
# with chroot; nothing is installed on the machine itself.
set -euo pipefail

what=asterisk
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../tools/cache.sh"

version=${1:-}
packages=asterisk,libsqliteodbc,odbc-postgresql
case $version in
22) suite=forky script=sid ;;
# Voicemail is a package of its own there.
16) suite=bullseye script=bullseye packages+=,asterisk-voicemail ;;
*)
  say "usage: rootfs.sh 22|16"
  exit 2
  ;;
esac

# Debian's tools are in sbin, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
mirror=${ROSTER_DEBIAN_MIRROR:-http://deb.debian.org/debian}

fill() {
  local into=$1 start=$SECONDS log ticker rc=0
  if [ "$(id -u)" != 0 ]; then
    say "Asterisk $version is not there yet, and making its root filesystem needs root: run this script once as root"
    say "with the same ROSTER_CACHE, or set ROSTER_TEST_ASTERISK to Asterisk servers that run already"
    return 1
  fi
  if ! command -v debootstrap >/dev/null; then
    say "debootstrap is not found. Debian, Ubuntu: apt-get install debootstrap"
    return 1
  fi
  log=$into/install.log
  say "installing Asterisk $version from Debian $suite, once: about a minute"
  (
    trap 'exit 0' TERM
    while sleep 15 & wait $!; do
      say "  still installing, $((SECONDS - start)) s: $(tail -n 1 "$log" 2>/dev/null)"
    done
  ) &
  ticker=$!
  # What it mounts is gone with it, and never seen by a clean-up.
  unshare --mount debootstrap --variant=minbase --include="$packages" "$suite" "$into" "$mirror" "$script" >"$log" 2>&1 || rc=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if [ "$rc" != 0 ]; then
    tail -n 20 "$log" >&2
    say "debootstrap failed; the mirror was $mirror (ROSTER_DEBIAN_MIRROR names another)"
    return "$rc"
  fi
  rm -f "$log"
  rm -rf "$into"/var/cache/apt/archives/*.deb "$into"/var/lib/apt/lists/*
  say "installed $(chroot "$into" asterisk -V) in $((SECONDS - start)) s"
}

dir=$(cache_root)/$version
cached "$dir" fill
printf '%s\n' "$dir"
