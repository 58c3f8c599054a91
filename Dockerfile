# Two images of one file. Both hold the whole package; only `worker` holds torch, which the API and
# the courier do without.
#
#   docker build --target app -t safelora-gate .
#   docker build --target worker -t safelora-gate-worker .
#
# BASE: any Debian with Python 3.11 or newer, its venv module and apt.
# TORCH_INDEX: the package index that torch is taken from, and it alone. Left empty it comes from
# where all else does: on PyPI that is a CUDA build. Name PyTorch's own index of CPU builds for an
# image that is some gigabytes smaller and knows no GPU.
# A pip.conf (a mirror, a certificate) is handed in as a secret, and is in no layer:
#   docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf …
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/gate
WORKDIR /build
COPY pyproject.toml constraints.txt deploy/image/requirements.py ./
ENV PIP_CONSTRAINT=/build/constraints.txt

FROM tools AS app-packages
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 requirements.py pyproject.toml > app.txt \
    && /tools/bin/pip --python /opt/gate/bin/python install --no-compile -r app.txt \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/gate/lib

FROM tools AS worker-packages
ARG TORCH_INDEX=
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 requirements.py pyproject.toml worker > worker.txt \
    && if [ -n "$TORCH_INDEX" ]; then \
    /tools/bin/pip --python /opt/gate/bin/python install --no-compile --no-deps --index-url "$TORCH_INDEX" torch; fi \
    && /tools/bin/pip --python /opt/gate/bin/python install --no-compile -r worker.txt \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -x 'py3[0-9]+_' /opt/gate/lib \
    && /opt/gate/bin/python -c "import torch; print('torch', torch.__version__, 'CUDA', torch.version.cuda)"

# The package itself, with the worker's own products compiled: without them it would do, but slower.
FROM tools AS gate
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /tools/bin/pip install setuptools
COPY README.md LICENSE ./
COPY app app
COPY core core
COPY safelora safelora
COPY worker worker
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index -w wheels . \
    && /tools/bin/pip --python /opt/gate/bin/python install --no-compile --no-deps --no-index wheels/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/gate/lib \
    && ls /opt/gate/lib/python*/site-packages/worker/projection/native/thin.*.so
COPY deploy/image /opt/gate/deploy

# What both run on: no compiler, no pip of ours, a user of its own. The root file system may be
# read-only; /tmp and /var/lib/safelora are written to.
FROM ${BASE} AS runtime
RUN groupadd --gid 10001 safelora \
    && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /var/lib/safelora --shell /usr/sbin/nologin safelora \
    && for folder in alignments scratch store queue secrets/gate secrets/setup secrets/signing secrets/redis secrets/store; do \
    install -d -o 10001 -g 10001 -m 0700 "/var/lib/safelora/$folder"; done \
    && chown -R 10001:10001 /var/lib/safelora
ENV PATH=/opt/gate/bin:$PATH \
    HOME=/var/lib/safelora \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SAFELORA_ALIGNMENTS__CACHE=/var/lib/safelora/alignments \
    SAFELORA_HEARTBEAT=/tmp/heartbeat \
    SAFELORA_SCRATCH=/var/lib/safelora/scratch \
    SAFELORA_STORE__PATH=/var/lib/safelora/store
WORKDIR /var/lib/safelora
USER 10001:10001
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.title="Safe LoRA Gate" \
      org.opencontainers.image.description="A REST service that sanitizes LoRA adapters" \
      org.opencontainers.image.version="0.2.0"

# Takes jobs. SIGTERM puts the one at work back within one module.
FROM runtime AS worker
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
COPY --from=worker-packages /opt/gate /opt/gate
COPY --from=gate /opt/gate /opt/gate
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["sh", "-c", "test -n \"$(find /tmp/heartbeat -mmin -2)\""]
CMD ["safelora-gate", "worker"]

# The API, and with `safelora-gate courier` the courier, whose sign of life is the worker's.
FROM runtime AS app
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
COPY --from=app-packages /opt/gate /opt/gate
COPY --from=gate /opt/gate /opt/gate
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=8); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["safelora-gate", "serve", "--host", "0.0.0.0"]
