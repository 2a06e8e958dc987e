"""New avatar from a photo: pick or drop photos or a clip, give a name, watch, done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QImage, QKeyEvent, QPixmap
from PyQt6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.gui.capture.attempt import attempted
from app.gui.look.theme import SPACE
from app.gui.look.wording import sentence
from app.gui.panels.controls import muted_label
from avatar.errors import UserError
from avatar.interrupts import StoppedError

__all__ = ["PICTURES", "PhotoDialog"]

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_PREVIEW = 220
_PATIENCE_S = 3.0

Pictures = list[tuple[Image.Image, str, float | None]]
Make = Callable[[Pictures | Path, str, Callable[[float, str], None], Callable[[Image.Image], None]], list[str]]
"""Pictures or a clip, a name, who is told of progress and who is shown the avatar -> what could be better, line by
line."""


class PhotoDialog(QDialog):
    """Asks for photos, or a clip, and makes the avatar in a thread of its own."""

    made = pyqtSignal(str)
    """An avatar of this name is there."""
    _told = pyqtSignal(float, str)
    _shown = pyqtSignal(object)
    _done = pyqtSignal(object)

    def __init__(
        self, parent: QWidget | None, webcam_still: Callable[[], Image.Image | None], make: Make | None = None
    ) -> None:
        """
        Args:
            webcam_still: the webcam's newest picture; None if it shows none.
        """
        super().__init__(parent)
        self.setWindowTitle(self.tr("New avatar from a photo"))
        self.setAcceptDrops(True)
        self._pictures: Pictures = []
        self._clip: Path | None = None
        self._webcam_still = webcam_still
        self._make = _make_avatar if make is None else make
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.preview = QLabel(self.tr("Drop a photo here"))
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.preview.setMinimumSize(2 * _PREVIEW, _PREVIEW)
        self.preview.setFrameShape(QLabel.Shape.StyledPanel)
        self.choose = QPushButton(self.tr("Choose photos…"))
        self.choose.clicked.connect(self._choose)
        self.still = QPushButton(self.tr("Take one with the webcam"))
        self.still.clicked.connect(self._take_still)
        self.clear = QPushButton(self.tr("Clear"))
        self.clear.clicked.connect(self._clear)
        self.name = QLineEdit(self.tr("me"))
        self.name.setAccessibleName(self.tr("Name of the avatar"))
        self.name.textChanged.connect(self._refresh)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.buttons = QDialogButtonBox()
        self.create_button = self.buttons.addButton(self.tr("Make the avatar"), QDialogButtonBox.ButtonRole.ActionRole)
        self.cancel_button = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.close_button = self.buttons.addButton(QDialogButtonBox.StandardButton.Close)
        assert self.create_button is not None and self.close_button is not None and self.cancel_button is not None
        self.create_button.clicked.connect(self._start)
        self.cancel_button.clicked.connect(self.stop)
        self.close_button.clicked.connect(self.close)
        self._told.connect(self._show_progress)
        self._shown.connect(lambda picture: self._display([picture]))
        self._done.connect(self._finish)
        self._lay_out()
        self._refresh()

    def add_file(self, path: Path) -> None:
        """Take a photo along, or a clip in place of photos; what cannot be read is said."""
        from avatar.tracking.pictures import Clip, focal_35mm, is_clip, open_picture

        try:
            if is_clip(path):
                _, first = next(Clip.open(path).pictures(2 * _PREVIEW))
                self._pictures, self._clip = [(first, path.name, None)], path
            else:
                photos = [] if self._clip else self._pictures
                self._pictures, self._clip = [*photos, (open_picture(path), path.name, focal_35mm(path))], None
        except UserError as error:
            self.words.setText(str(error))
            return
        if self.name.text() in ("", self.tr("me")):
            self.name.setText(path.stem[:40])
        self.words.setText("")
        self._refresh()

    @property
    def busy(self) -> bool:
        """Whether an avatar is being made."""
        return self._thread is not None

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls() and not self.busy:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        for url in data.urls() if data is not None else []:
            self.add_file(Path(url.toLocalFile()))

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.stop()
        super().closeEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if not self.busy:
            super().keyPressEvent(event)
        elif event is not None and event.key() == Qt.Key.Key_Escape:
            self.stop()

    def stop(self) -> None:
        """End the work; its thread notices at its next word about progress. Photos and name stay for another try."""
        if self.busy:
            self._stopping.set()
            self._refresh()
            self.words.setText(self.tr("Stopping…"))

    def give_back(self) -> None:
        """End the work and wait until its thread has noticed, a few seconds at most: the program ends."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    def _lay_out(self) -> None:
        from app.capture import CONSENT

        column = QVBoxLayout(self)
        column.setSpacing(SPACE[3])
        column.addWidget(self.preview)
        row = QHBoxLayout()
        for button in (self.choose, self.still, self.clear):
            row.addWidget(button)
        column.addLayout(row)
        column.addWidget(
            muted_label(
                self.tr(
                    "From the front, lips closed, evenly lit; one or two more from the sides help. Or a clip of ten to "
                    "twenty seconds: look ahead, turn to both sides, blink, say “ah”, show your teeth, talk."
                )
            )
        )
        naming = QHBoxLayout()
        naming.addWidget(QLabel(self.tr("Name")))
        naming.addWidget(self.name, 1)
        column.addLayout(naming)
        column.addWidget(self.bar)
        column.addWidget(self.words)
        column.addWidget(muted_label(self.tr(CONSENT)))
        column.addWidget(self.buttons)

    def _choose(self) -> None:
        from avatar.tracking.pictures import CLIPS

        kinds = " ".join(f"*{suffix}" for suffix in (*PICTURES, *CLIPS))
        filters = self.tr("Pictures and clips ({})").format(kinds)
        paths, _ = QFileDialog.getOpenFileNames(self, self.tr("Photos or a clip"), "", filters)
        for path in paths:
            self.add_file(Path(path))

    def _take_still(self) -> None:
        picture = self._webcam_still()
        if picture is None:
            self.words.setText(self.tr("The webcam shows no picture: first choose “Face from the webcam”."))
            return
        photos = [] if self._clip else self._pictures
        self._pictures, self._clip = [*photos, (picture.copy(), self.tr("the webcam's picture"), None)], None
        self._refresh()

    def _clear(self) -> None:
        self._pictures, self._clip = [], None
        self.preview.setPixmap(QPixmap())
        self.preview.setText(self.tr("Drop a photo here"))
        self._refresh()

    def _refresh(self) -> None:
        if self._pictures and not self.busy:
            self._display([picture for picture, _, _ in self._pictures[-3:]])
        free = not self.busy
        for widget in (self.choose, self.still, self.clear, self.name):
            widget.setEnabled(free)
        assert self.create_button is not None and self.close_button is not None and self.cancel_button is not None
        self.cancel_button.setVisible(not free)
        self.cancel_button.setEnabled(not self._stopping.is_set())
        self.create_button.setEnabled(free and bool(self._pictures) and bool(self.name.text().strip()))
        self.bar.setVisible(not free)

    def _display(self, pictures: list[Image.Image]) -> None:
        """Pictures side by side."""
        small = [picture.convert("RGBA") for picture in pictures]
        for picture in small:
            picture.thumbnail((2 * _PREVIEW // len(small), _PREVIEW))
        strip = Image.new("RGBA", (sum(picture.width for picture in small), _PREVIEW))
        at = 0
        for picture in small:
            strip.paste(picture, (at, (_PREVIEW - picture.height) // 2))
            at += picture.width
        data = strip.tobytes()
        image = QImage(data, strip.width, strip.height, 4 * strip.width, QImage.Format.Format_RGBA8888)
        self.preview.setPixmap(QPixmap.fromImage(image.copy()))

    def _start(self) -> None:
        source: Pictures | Path = self._clip or list(self._pictures)
        name = self.name.text().strip()

        stopping = self._stopping = threading.Event()

        def tell(share: float, what: str) -> None:
            if stopping.is_set():
                raise StoppedError
            self._told.emit(share, what)

        def work() -> None:
            self._done.emit(attempted(lambda: (name, self._make(source, name, tell, self._shown.emit))))

        self.words.setText("")
        self._thread = threading.Thread(target=work, name="capture", daemon=True)
        self._refresh()
        self._thread.start()

    def _show_progress(self, share: float, what: str) -> None:
        if self._stopping.is_set():
            return
        self.bar.setValue(round(1000 * share))
        self.words.setText(f"{sentence(what)}…")

    def _finish(self, result: object) -> None:
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        shown = self.preview.pixmap()
        self._stopping.clear()
        self._refresh()
        if isinstance(result, StoppedError):
            goes_on = self.tr("Stopped. Made again, it goes on from here.") if self._clip else self.tr("Stopped.")
            self.words.setText(goes_on)
            return
        if isinstance(result, UserError):
            self.words.setText(sentence(str(result)))
            return
        assert isinstance(result, tuple)
        name, notes = result
        self.words.setText(" ".join([self.tr("{} is there.").format(name), *(f"{sentence(note)}." for note in notes)]))
        self.preview.setPixmap(shown)
        self.made.emit(name)


def _make_avatar(
    source: Pictures | Path, name: str, tell: Callable[[float, str], None], show: Callable[[Image.Image], None]
) -> list[str]:
    from app.capture import capture_files, capture_pictures
    from avatar.importing import avatar_path

    if isinstance(source, Path):
        return list(capture_files([source], name, tell=lambda what, share: tell(share, what), show=show).notes)
    return list(capture_pictures(source, name, avatar_path(name), tell, show).notes)
