#!/usr/bin/env bash
# Becomes a process of one of buildah's containers, as an engine would start it: what its image says
# it is, in its own root file system, as the image's user without capabilities, with nothing to write
# to but /tmp and what is mounted. The container must be mounted, and the namespace its own.
# Usage: unshare --mount deploy/in-image.sh [--env NAME=VALUE]… [--volume FROM:TO[:ro]]… CONTAINER [COMMAND…]
set -euo pipefail

folders=() environment=()
while [ "${1#--}" != "$1" ]; do
  case $1 in
    --env) environment+=("$2") ;;
    --volume) folders+=("$2") ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
  shift 2
done
container=$1
shift

says() { buildah inspect --type container --format "{{with .OCIv1.Config}}$1{{end}}" "$container"; }
mapfile -t given < <(says '{{range .Env}}{{println .}}{{end}}' | grep .)
[ $# -gt 0 ] || mapfile -t command < <(says '{{range .Cmd}}{{println .}}{{end}}' | grep .)
[ $# -eq 0 ] || command=("$@")
user=$(says '{{.User}}')
place=$(says '{{.WorkingDir}}')
root=$(buildah inspect --type container --format '{{.MountPoint}}' "$container")

mount --bind "$root" "$root"
mount --bind /proc "$root/proc"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/tmp"
mount -t tmpfs -o mode=755,size=64k tmpfs "$root/dev"
ln -s /proc/self/fd "$root/dev/fd"
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
for folder in /etc/hosts:/etc/hosts:ro "${folders[@]}"; do
  IFS=: read -r from to how <<< "$folder"
  if [ -d "$from" ]; then mkdir -p "$root$to"; else touch "$root$to"; fi
  mount --bind "$from" "$root$to"
  mount -o "remount,bind,nosuid,nodev,${how:-rw}" "$root$to"
done
mount -o remount,bind,ro "$root"

exec chroot "$root" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups \
  --no-new-privs --bounding-set=-all --inh-caps=-all \
  env --ignore-environment --chdir="${place:-/}" "${given[@]}" "${environment[@]}" "${command[@]}"
