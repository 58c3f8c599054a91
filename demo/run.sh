#!/usr/bin/env bash
# The whole way once: start everything on this machine, register a pair, post an adapter with curl,
# wait, show the layer table and where the files lie, stop. Usage: demo/run.sh [DATA_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-var/demo}

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
field() { python -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[k]
print(v)' "$1"; }
free_port() { python -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

command -v curl >/dev/null || { echo "the demo needs curl" >&2; exit 1; }
mkdir -p "$data"
pair="$data/pair"
log="$data/up.log"

say "making a small pair of checkpoints and an adapter in $pair"
python demo/make_pair.py "$pair"

say "starting everything (embedded Valkey, folder store, API, worker, courier)"
port=$(free_port)
safelora-gate up --data "$data" --port "$port" --checkpoints "$pair" --new-key >"$log" 2>&1 &
gate=$!
trap 'kill -TERM $gate 2>/dev/null || true; wait $gate 2>/dev/null || true' EXIT
for _ in $(seq 600); do
  grep -qs '^Ctrl-C' "$log" && break
  kill -0 $gate 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
grep -qs '^Ctrl-C' "$log" || { cat "$log" >&2; exit 1; }
SAFELORA_KEY=$(sed -n 's/^key: *//p' "$log")
url="http://127.0.0.1:$port"
sed -e 's/^key: .*/key:         (printed at the end)/' -e '/^ *shown this once/d' "$log"

ask() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $SAFELORA_KEY" "$@"; }

say "registering the pair as alignment demo"
full=$(cd "$pair" && pwd)
ask "$url/v1/alignments" -H 'Content-Type: application/json' --data "{
  \"name\": \"demo\", \"base\": \"$full/base\", \"aligned\": \"$full/aligned\",
  \"base_names\": [\"demo/tiny-chat\"]}" >"$data/alignment.json"
for _ in $(seq 600); do
  ask "$url/v1/alignments/demo" >"$data/alignment.json"
  state=$(field state <"$data/alignment.json")
  [ "$state" = building ] || break
  sleep 0.2
done
echo "alignment demo: $state"
[ "$state" = ready ] || { cat "$data/alignment.json" >&2; exit 1; }

say "posting the adapter"
ask "$url/v1/jobs" -F alignment=demo \
  -F adapter=@"$pair/adapter/adapter_model.safetensors" \
  -F config=@"$pair/adapter/adapter_config.json" >"$data/job.json"
job=$(field id <"$data/job.json")
echo "job $job: $(field state <"$data/job.json")"

say "waiting for it"
for _ in $(seq 6); do
  ask "$url/v1/jobs/$job?wait=30" >"$data/job.json"
  state=$(field state <"$data/job.json")
  case "$state" in queued|running) ;; *) break ;; esac
done
echo "job $job: $state"
[ "$state" = succeeded ] || { cat "$data/job.json" >&2; exit 1; }

say "the report, layer by layer"
ask "$url/v1/jobs/$job/report.json" >"$data/report.json"
safelora-gate report --table "$data/report.json"

say "downloading the sanitized adapter"
mkdir -p "$data/sanitized"
for file in adapter_model.safetensors adapter_config.json attestation.json; do
  ask --location -o "$data/sanitized/$file" "$url/v1/jobs/$job/adapter/$file"
done
ls -l "$data/sanitized"

say "verifying its attestation"
curl --silent --show-error --fail "$url/.well-known/safelora-gate/keys" >"$data/verification-keys.json"
safelora-gate verify "$data/sanitized" --keys "$data/verification-keys.json"
echo
echo "sanitized adapter: $data/sanitized   (a PEFT folder as it lies)"
echo "report:            $data/report.json"
echo "store:             $data/store"

say "stopping"
kill -TERM $gate
wait $gate
trap - EXIT
echo "stopped clean"
echo
again="make demo-up"
[ "$data" = var/demo ] || again="$again DATA=$data"
echo "in a browser: $again, then open http://127.0.0.1:8000 and sign in with"
echo "              $SAFELORA_KEY"
echo "              and drop the folder $pair/adapter there"
