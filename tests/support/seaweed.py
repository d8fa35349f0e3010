"""SeaweedFS, a real server that speaks S3 and refuses wrong keys: one for all tests of a process that need it."""

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.blobs import Address
from tests.support import ports
from tests.support.waiting import until

ACCESS_KEY_ID = "AKIAFAKEFAKEFAKEFAKE"
SECRET = "sk-canary-secret"
REGION = "us-east-1"
KEYS = {"identities": [{"name": "all", "credentials": [], "actions": ["Admin", "Read", "Write", "List"]}]}
# Each bucket takes as many volumes as it is told here, of those that there are.
ONE_VOLUME = "[master.volume_growth]\ncopy_1 = 1\n"
SHARED = "shared"
PORTS = ("master", "master.port.grpc", "volume", "volume.port.grpc", "filer", "filer.port.grpc", "s3", "s3.port.grpc")


class Seaweed:
    """The server while its `with` block runs; `client` is boto3's."""

    def __enter__(self) -> "Seaweed":
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        KEYS["identities"][0]["credentials"] = [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET}]
        (folder / "keys.json").write_text(json.dumps(KEYS))
        (folder / "master.toml").write_text(ONE_VOLUME)
        given = dict(zip(PORTS, ports.free(len(PORTS)), strict=True))
        flags = [f"-{name if 'grpc' in name else f'{name}.port'}={port}" for name, port in given.items()]
        command = [
            str(Path(sys.executable).parent / "weed"),
            "-logtostderr",
            "server",
            f"-dir={folder}",
            "-filer",
            "-s3",
        ]
        command += [*flags, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={folder / 'keys.json'}"]
        command += [
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=100",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
        ]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=folder)
        self.url = f"http://127.0.0.1:{given['s3']}"
        self.client = s3_client(self.url)
        until(self._is_ready, seconds=60, what="SeaweedFS takes objects")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.kill()  # in good order it would take its time, for bytes that nobody needs
        self._process.wait(20)
        self._log.close()
        self._folder.cleanup()

    def bucket(self, start: str) -> str:
        """A new bucket, whose name starts so."""
        name = f"{start}-{secrets.token_hex(4)}"
        self.client.create_bucket(Bucket=name)
        return name

    def address(self, prefix: str = "") -> Address:
        """A new bucket as the gateway's own store; with a `prefix`, a part of one that they share."""
        bucket = SHARED if prefix else self.bucket("blobs")
        return Address(f"s3://{bucket}/{prefix or 'kept'}", self.url, REGION, key_id=ACCESS_KEY_ID, secret=SECRET)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "SeaweedFS has ended"
        try:
            self.client.create_bucket(Bucket=SHARED)
            self.client.put_object(Bucket=SHARED, Key="ready", Body=b"x")
        except (ClientError, BotoCoreError):
            return False
        return True


def s3_client(url: str, *, secret: str = SECRET) -> Any:
    """boto3's client of a server that speaks S3."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=secret,
        config=config,
    )
