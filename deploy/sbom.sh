#!/usr/bin/env bash
# What the images of build-images.sh hold: of each a CycloneDX bill of materials and a list of
# licences, made in its own environment. Usage: deploy/sbom.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(realpath "${1:-var/images}")

for image in safelora-gate safelora-gate-worker; do
  container=$(buildah from "localhost/$image")
  run() {
    buildah run --isolation=chroot --user root --volume "$work/pip.conf:/etc/pip.conf:ro" \
      --volume "$work/packages:/mnt:ro" "$container" env -u HOME "$@"
  }
  run python3 -m venv /sbom
  run /sbom/bin/pip install --quiet cyclonedx-bom pip-licenses 2> "$work/sbom.log" || { cat "$work/sbom.log" >&2; exit 1; }
  run /sbom/bin/cyclonedx-py environment --output-reproducible --of JSON /opt/gate/bin/python > "$work/$image.cdx.json"
  run /sbom/bin/pip-licenses --python=/opt/gate/bin/python --format=markdown --order=license > "$work/$image.licences.md"
  buildah rm "$container" > /dev/null
  python3 - "$work/$image.cdx.json" << 'EOF'
import json, sys
components = json.load(open(sys.argv[1]))["components"]
print(f"{sys.argv[1]}: {len(components)} components")
EOF
done
