"""Small pictures of avatars: those that ship have theirs; others are drawn once, in a process of their own, and kept in
the cache folder."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import threading
from importlib import resources
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal

from avatar.child import python_command
from avatar.formats.atomic import replacing
from avatar.heads import assets_dir
from avatar.home import cache_dir

__all__ = ["Thumbnails", "draw_thumbnail", "shipped_thumbnail"]

_log = logging.getLogger(__name__)
_SIZE = 192
_TIMEOUT_S = 180.0
_RECIPE = 1
"""Raise it when the picture's looks change: old ones are then drawn again."""


def draw_thumbnail(avatar_path: str, picture_path: str) -> None:
    """Draw an avatar's face. Runs in the process of its own: renderers share one pool of threads in a process."""
    from app.output.still import save_still
    from avatar import Camera, open_avatar
    from avatar.flame.params import FlameParams
    from avatar.render import open_renderer

    avatar = open_avatar(avatar_path)
    renderer = open_renderer("cpu")
    pose = FlameParams.neutral(avatar.head.n_shape, avatar.head.n_expression)
    image = renderer.draw(avatar, pose, Camera.preset("face", _SIZE, _SIZE), None)
    with replacing(picture_path) as fresh:
        save_still(fresh, image)
    renderer.close()


class Thumbnails(QObject):
    """Finds or makes the pictures, one after the other, in the background.

    `ready` is emitted with the avatar's name and the picture's path.
    """

    ready = pyqtSignal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def request(self, avatars: dict[str, Path], delay_s: float = 6.0) -> None:
        """Announce a picture for each avatar (name to file). Those that must be drawn wait until the application has
        started: drawing costs a core for a moment."""
        self.stop()
        self._stop = threading.Event()
        missing = {}
        for name, path in avatars.items():
            picture = _picture_of(path)
            if picture is None:
                continue
            if picture.exists():
                self.ready.emit(name, str(picture))
            else:
                missing[name] = (path, picture)
        if missing:
            self._thread = threading.Thread(target=self._make, args=(missing, delay_s), name="thumbnails", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leave off."""
        self._stop.set()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None

    def _make(self, missing: dict[str, tuple[Path, Path]], delay_s: float) -> None:
        stop = self._stop
        if stop.wait(delay_s):
            return
        for name, (avatar, picture) in missing.items():
            if stop.is_set():
                return
            code = (
                "import os\n"
                "hasattr(os, 'nice') and os.nice(10)\n"
                "from app.gui.panels.thumbnails import draw_thumbnail\n"
                "draw_thumbnail(sys.argv[1], sys.argv[2])"
            )
            try:
                picture.parent.mkdir(parents=True, exist_ok=True)
                self._process = subprocess.Popen(
                    python_command(code, str(avatar), str(picture)),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                _, problem = self._process.communicate(timeout=_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                if self._process is not None:
                    self._process.kill()
                    self._process.communicate()
                continue
            except OSError as error:
                _log.warning("no thumbnail of %s: %s", name, error)
                continue
            if stop.is_set():
                return
            if self._process.returncode == 0 and picture.exists():
                self.ready.emit(name, str(picture))
            else:
                _log.warning("no thumbnail of %s: %s", name, problem.decode(errors="replace").strip()[-500:])


def shipped_thumbnail(name: str) -> Path:
    """The picture of an avatar that ships."""
    return Path(str(resources.files("app") / "assets" / f"{name}.png"))


def _picture_of(avatar: Path) -> Path | None:
    """Where an avatar's picture is kept; another version of the file has another place."""
    shipped = shipped_thumbnail(avatar.stem)
    if avatar.parent == assets_dir() and shipped.is_file():
        return shipped
    try:
        stat = avatar.stat()
    except OSError:
        return None
    key = f"{_RECIPE}|{avatar.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    return cache_dir() / "thumbnails" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.png"
