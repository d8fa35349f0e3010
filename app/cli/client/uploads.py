"""Uploads files: small ones in one request, large ones in parts that a later call does not send again."""

import hashlib
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from app.cli.client.http import PIECE_BYTES, Gateway, Sent, StatusError, patiently, pieces
from app.cli.shared.progress import Progress, Transfer
from app.cli.shared.refusal import Refused
from app.lib import json, multipart, private

# Above this a file goes in parts.
MAX_WHOLE_BYTES = 64 * 2**20
PART_BYTES = 32 * 2**20
MAX_PARTS = 10_000
# An upload that ends so soon is not gone on with.
MARGIN_S = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What to make of a file."""

    path: Path
    purpose: str
    provider: str | None
    expires_after_s: int | None
    part_bytes: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an upload that is under way: its id, when it ends, and the id and SHA-256 of each part sent."""

    upload_id: str
    expires_at: int
    size: int
    changed_ns: int
    part_bytes: int
    parts: list[list[str]]


def upload(gateway: Gateway, wish: Wish) -> dict[str, Any]:
    """Uploads a file and returns its file object. Raises Refused, AwayError."""
    size = wish.path.stat().st_size
    progress = Progress()
    transfer = Transfer(progress, f"uploading {wish.path.name}", size)
    try:
        if not size or (wish.part_bytes is None and size <= MAX_WHOLE_BYTES):
            return _whole(gateway, wish, transfer)
        return _Parts(gateway, wish).send(transfer)
    finally:
        progress.end()


def _whole(gateway: Gateway, wish: Wish, transfer: Transfer) -> dict[str, Any]:
    fields = {"purpose": wish.purpose}
    if wish.expires_after_s is not None:
        fields |= {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(wish.expires_after_s)}
    key = hashlib.sha256(os.urandom(32)).hexdigest()[:32]

    def send() -> dict[str, Any]:
        transfer.back_to(0)
        return gateway.upload(wish.path, provider=wish.provider, sent=transfer, fields=fields, key=key)

    return patiently(send)


class _Parts:
    """One upload in parts, and the file that remembers it until it is complete."""

    def __init__(self, gateway: Gateway, wish: Wish) -> None:
        self._gateway, self._wish = gateway, wish
        found = wish.path.stat()
        self._size, self._changed_ns = found.st_size, found.st_mtime_ns
        least = -(-self._size // MAX_PARTS)
        self._part_bytes = max(wish.part_bytes or PART_BYTES, least)
        named = [
            gateway.base_url,
            str(wish.path.resolve()),
            wish.purpose,
            str(wish.provider),
            str(wish.expires_after_s),
        ]
        self._memory = _folder() / f"{hashlib.sha256(json.dumps(named)).hexdigest()[:32]}.json"

    def send(self, transfer: Transfer) -> dict[str, Any]:
        """Sends what is missing, and joins the parts. An upload that is over meanwhile begins anew."""
        if (kept := self._remembered()) is not None:
            try:
                return self._sent(kept, transfer)
            except StatusError as error:
                if error.status not in (404, 409):
                    raise
                click.echo(f"Beginning anew: {error.message}", err=True)
                transfer.back_to(0)
        return self._sent(self._begun(), transfer)

    def _sent(self, kept: Kept, transfer: Transfer) -> dict[str, Any]:
        whole = hashlib.md5(usedforsecurity=False)
        with self._wish.path.open("rb") as file:
            for number in range(-(-self._size // self._part_bytes)):
                start = number * self._part_bytes
                length = min(self._part_bytes, self._size - start)
                digest = _digests(file, start, length, whole)
                if number < len(kept.parts) and kept.parts[number][1] == digest:
                    transfer(length)
                    continue
                del kept.parts[number:]
                kept.parts.append([self._part(kept, file, start, length, digest, transfer), digest])
                self._remember(kept)
        body = {"part_ids": [part[0] for part in kept.parts], "md5": whole.hexdigest()}
        headers = {"Idempotency-Key": f"{kept.upload_id}-complete"}
        done = patiently(
            lambda: self._gateway.call(
                "POST", f"/uploads/{kept.upload_id}/complete", json=body, headers=headers, timeout=None
            )
        )
        self._memory.unlink(missing_ok=True)
        file_object: dict[str, Any] = done["file"]
        return file_object

    def _begun(self) -> Kept:
        wish = self._wish
        body: dict[str, Any] = {
            "filename": wish.path.name,
            "purpose": wish.purpose,
            "bytes": self._size,
            "mime_type": "application/jsonl" if wish.purpose == "batch" else "application/octet-stream",
            "provider": wish.provider,
        }
        if wish.expires_after_s is not None:
            body["expires_after"] = {"anchor": "created_at", "seconds": wish.expires_after_s}
        made = self._gateway.post_once("/uploads", body)
        kept = Kept(made["id"], made["expires_at"], self._size, self._changed_ns, self._part_bytes, [])
        self._remember(kept)
        return kept

    def _part(self, kept: Kept, file: BinaryIO, start: int, length: int, digest: str, sent: Sent) -> str:
        def send() -> str:
            form = multipart.form(
                [],
                file_field="data",
                filename="part",
                content_type="application/octet-stream",
                file_bytes=length,
                open_file=lambda: pieces(file, start, length, sent),
            )
            headers = {"Content-Type": form.content_type, "Idempotency-Key": f"{kept.upload_id}-{start}-{digest[:32]}"}
            path = f"/uploads/{kept.upload_id}/parts"
            return str(self._gateway.call("POST", path, data=form, headers=headers, timeout=None)["id"])

        return patiently(send)

    def _remembered(self) -> Kept | None:
        """Returns the upload to go on with: of the same bytes, and not over."""
        try:
            kept = Kept(**json.loads(self._memory.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        same = (kept.size, kept.changed_ns, kept.part_bytes) == (self._size, self._changed_ns, self._part_bytes)
        if not same or kept.expires_at < time.time() + MARGIN_S:
            return None
        click.echo(f"Going on with {kept.upload_id}: {len(kept.parts)} parts are there.", err=True)
        return kept

    def _remember(self, kept: Kept) -> None:
        try:
            private.make_folder(self._memory.parent)
            descriptor, name = tempfile.mkstemp(dir=self._memory.parent)
            with open(descriptor, "wb") as file:
                file.write(json.dumps(asdict(kept)))
            os.replace(name, self._memory)
        except OSError as error:
            if not kept.parts:
                where = f"{self._memory.parent} ({error.strerror})"
                click.echo(f"An interrupted upload cannot go on: it is not remembered in {where}.", err=True)


def _digests(file: BinaryIO, start: int, length: int, whole: Any) -> str:
    """Returns the SHA-256 of a part, and adds it to the digest of the whole."""
    file.seek(start)
    digest, left = hashlib.sha256(), length
    while left and (piece := file.read(min(16 * PIECE_BYTES, left))):
        left -= len(piece)
        digest.update(piece)
        whole.update(piece)
    if left:
        raise Refused("The file was truncated during the upload. Leave it unchanged until the upload ends.")
    return digest.hexdigest()


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "batchgate" / "uploads"
