#!/usr/bin/env bash
# Builds both images without Docker, on a base made from Debian's packages, and says how large they
# are above it. Needs root, buildah and debootstrap. Usage: deploy/build-images.sh [FOLDER]
#
# How this machine's pip finds packages (its configuration and environment) is handed to the build
# as a secret, and what that names on this disk as a read-only mount: nothing of it is in a layer.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-var/images}
base=localhost/debian-python:bookworm
mkdir -p "$work"

say() { printf '\n== %s\n' "$*"; }

make_base() {
  say "a base image from Debian's packages"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/base" \
    > "$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/base" / > /dev/null
  buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin "$container"
  buildah commit --quiet "$container" "$base" > /dev/null
  buildah rm "$container" > /dev/null
  rm -rf "$work/base"
}

# The settings of this machine's pip as a pip.conf for the build, where the folders and files that
# they name lie under /mnt. The environment goes before the files.
share_pip() {
  rm -rf "$work/packages"
  mkdir -p "$work/packages"
  {
    echo '[global]'
    python3 -m pip config list | sed -nE "s/^(:env:|global)\.([a-z-]+)='(.*)'$/\2 = \3/p" |
      awk -F' = ' '!seen[$1]++'
  } > "$work/pip.conf"
  local path shared number=0
  for path in $(tr ' ' '\n' < "$work/pip.conf" | sed -nE 's#^(file://)?(/.*)$#\2#p' | sort -u); do
    shared=${path%/simple} # an index's pages name the files beside it
    [ -e "$shared" ] || continue
    cp -rlL "$shared" "$work/packages/$number" 2> /dev/null || cp -rL "$shared" "$work/packages/$number"
    sed -i -E "s#(^| |file://)$path( |\$)#\1/mnt/$number${path#"$shared"}\2#g" "$work/pip.conf"
    number=$((number + 1))
  done
}

build() {
  say "image $2"
  buildah bud --isolation=chroot --format docker --layers --timestamp 0 \
    --build-arg BASE="$base" --build-arg REVISION="$(git rev-parse HEAD 2> /dev/null || echo unknown)" \
    --secret id=pip.conf,src="$work/pip.conf" --volume "$(realpath "$work/packages"):/mnt:ro" \
    --target "$1" --tag "localhost/$2" . > "$work/$1.log" 2>&1 || { tail -n 40 "$work/$1.log" >&2; exit 1; }
  grep '^torch ' "$work/$1.log" || true
  check "$2"
}

# What must be in an image, and what must not, by its own files.
check() {
  local container root tool
  container=$(buildah from "localhost/$1")
  root=$(buildah mount "$container")
  find "$root/opt/gate" -name 'thin.*.so' | grep -q . || { echo "thin.c is not compiled" >&2; exit 1; }
  for tool in gcc cc pip pip3; do
    ! chroot "$root" sh -c "PATH=/opt/gate/bin:\$PATH command -v $tool" || { echo "it has $tool" >&2; exit 1; }
  done
  if [ -e "$root/etc/pip.conf" ] || find "$root/mnt" "$root/opt" -mindepth 1 -maxdepth 1 ! -name gate | grep -q .; then
    echo "it holds how this machine finds packages" >&2
    exit 1
  fi
  make --silent sbom ENVIRONMENT="$root/opt/gate" SBOM="$work/$1"
  grep -q '^| safelora-gate ' "$work/$1.licences.md" || { echo "it does not hold the gate" >&2; exit 1; }
  buildah rm "$container" > /dev/null
}

size() { buildah images --json "$1" | python3 -c 'import json, sys
number, unit = json.load(sys.stdin)[0]["size"].split()
print(round(float(number) * {"KB": 1e-3, "MB": 1, "GB": 1e3}[unit]))'; }

buildah inspect --type image "$base" > /dev/null 2>&1 || make_base
share_pip
build app safelora-gate
build worker safelora-gate-worker

say "sizes"
below=$(size "$base")
for image in safelora-gate safelora-gate-worker; do
  whole=$(size "localhost/$image")
  echo "$image: $whole MB, of them $((whole - below)) MB above the base"
done
[ $(($(size localhost/safelora-gate) - below)) -le 200 ] || { echo "the image of the API is too large" >&2; exit 1; }
