#!/usr/bin/env bash
# Read by try-compose.sh and try-images.sh: one adapter, from a pair of checkpoints to a verified
# result. They set url, work, CHECKPOINTS and SAFELORA_KEY.

say() { printf '\n== %s\n' "$*"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
ask() { curl -sS --fail-with-body -H "Authorization: Bearer $SAFELORA_KEY" "$@"; }

must_be() { # what, wanted, found
  [ "$2" = "$3" ] || { echo "$1: $3, not $2" >&2; exit 1; }
}

is() {
  must_be "$@"
  echo "$1: $3"
}

# Registers the pair, and has its adapter sanitized. Leaves the id in `job`.
sanitize() {
  ask "$url/v1/alignments" -H 'Content-Type: application/json' -o "$work/alignment.json" -d "{
    \"name\": \"tiny-chat\", \"base\": \"$CHECKPOINTS/base\", \"aligned\": \"$CHECKPOINTS/aligned\",
    \"base_names\": [\"demo/tiny-chat\"]}"
  for _ in $(seq 120); do
    ask "$url/v1/alignments/tiny-chat" > "$work/alignment.json"
    [ "$(field state < "$work/alignment.json")" = building ] || break
    sleep 0.5
  done
  is "alignment" ready "$(field state < "$work/alignment.json")"
  job=$(ask "$url/v1/jobs" -F alignment=tiny-chat \
    -F adapter=@"$CHECKPOINTS/adapter/adapter_model.safetensors" \
    -F config=@"$CHECKPOINTS/adapter/adapter_config.json" | field id)
  ask "$url/v1/jobs/$job?wait=60" > "$work/job.json"
  is "job" succeeded "$(field state < "$work/job.json")"
  is "verdict" projected "$(field verdict < "$work/job.json")"
}

# Into sanitized/, from the store itself, with the keys that its attestation is checked against.
fetch_result() {
  rm -rf "$work/sanitized"
  mkdir "$work/sanitized"
  local file
  for file in adapter_model.safetensors adapter_config.json attestation.json; do
    ask --location -o "$work/sanitized/$file" "$url/v1/jobs/$job/adapter/$file"
  done
  curl -sSf "$url/.well-known/safelora-gate/keys" > "$work/keys.json"
}
