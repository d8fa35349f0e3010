"""Azurite, Microsoft's stand-in for Azure Blob Storage, as a process of its own."""

import base64
import hmac
import os
import secrets
import shutil
import subprocess
import tempfile
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import requests
from obstore.store import AzureStore

from app.blobs import Address
from tests.support import ports
from tests.support.waiting import until

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig

ACCOUNT = "batchgatetests"
KEY = base64.b64encode(b"a key that is none, of 32 bytes!").decode()
# Where `make install` puts it.
SCRIPT = "azurite/node_modules/azurite/dist/src/blob/main.js"


class Azurite:
    """The server while its `with` block runs."""

    def __enter__(self) -> "Azurite":
        [port] = ports.free(1)
        self.endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self._folder = tempfile.TemporaryDirectory()
        node = shutil.which("node")
        assert node is not None, "Azurite needs node: run `make install`"
        command = [node, str(_script()), "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", self._folder.name]
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        until(self._is_up, seconds=60, what="Azurite")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(20)
        self._folder.cleanup()

    def address(self) -> Address:
        """A new container."""
        name = f"c-{secrets.token_hex(4)}"
        self._make(name)
        return Address(f"az://{name}/blobs", endpoint=self.endpoint, key_id=ACCOUNT, secret=KEY)

    def names(self, address: Address) -> list[str]:
        """The objects in a container."""
        options: ClientConfig = {"allow_http": True}
        config: AzureConfig = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": self.endpoint}
        store = AzureStore(address.bucket, config=config, client_options=options)
        return [row["path"].rpartition("/")[2] for rows in obstore.list(store) for row in rows]

    def _make(self, name: str) -> None:
        # Our library makes no containers.
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06", "Content-Length": "0"}
        signed = f"x-ms-date:{headers['x-ms-date']}\nx-ms-version:{headers['x-ms-version']}"
        text = "\n".join(["PUT", *[""] * 11, signed, f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"])
        digest = hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        answer = requests.put(f"{self.endpoint}/{name}?restype=container", headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "Azurite has ended"
        try:
            return requests.get(self.endpoint, timeout=1).status_code > 0
        except requests.RequestException:
            return False


def _script() -> Path:
    found = Path(obstore.__file__).parents[4] / SCRIPT
    assert found.is_file(), f"{found} is missing: run `make install`"
    return found
