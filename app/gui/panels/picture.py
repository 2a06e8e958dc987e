"""The panel of the picture: size, detail and renderer, and how it is recorded."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.gui.panels.controls import Panel, Picker, beside_icon, muted_label
from app.settings import LEAST_GAUSSIANS, Settings, Store

__all__ = ["PicturePanel"]


class PicturePanel(Panel):
    """Size, detail, backend; format, rate, quality and folder of recordings."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Picture and recording"))
        self._store = store
        self.picture_size = self._picker(self.tr("Size"), "picture")
        for key, label in (
            ("window", self.tr("Fits the window")), ("512x512", "512 × 512"), ("720x720", "720 × 720"),
            ("1080x1080", "1080 × 1080"), ("1280x720", "1280 × 720"), ("1920x1080", "1920 × 1080"),
        ):  # fmt: skip
            self.picture_size.addItem(label, key)
        self.detail = self._picker(self.tr("Detail"), "max_gaussians")
        self.detail.addItem(self.tr("Detail adapts"), 0)
        for count in (LEAST_GAUSSIANS, 20_000, 30_000, 45_000, 60_000, 120_000):
            self.detail.addItem(self.tr("{}k Gaussians").format(count // 1000), count)
        self.backend = self._picker(self.tr("Renderer"), "backend")
        self.backend.addItem(self.tr("Best renderer"), "auto")
        for name, label in (("gsplat", "gsplat (CUDA)"), ("opengl", "OpenGL"), ("cpu", "CPU")):
            self.backend.addItem(label, name)
        self.format = self._picker(self.tr("Format"), "record_format")
        for key, label in (
            ("mp4", self.tr("MP4 (H.264)")), ("mov", self.tr("MOV (ProRes 4444, alpha)")),
            ("webm", self.tr("WebM (VP9, alpha)")), ("png", self.tr("PNG sequence, alpha")),
        ):  # fmt: skip
            self.format.addItem(label, key)
        self.rate = self._picker(self.tr("Rate"), "record_fps")
        self.rate.addItem(self.tr("Variable rate"), 0)
        for fps in (24, 25, 30, 50, 60):
            self.rate.addItem(self.tr("{} images/s").format(fps), fps)
        self.quality = self._picker(self.tr("Quality"), "record_quality")
        for key, label in (
            ("draft", self.tr("Draft")),
            ("standard", self.tr("Standard")),
            ("high", self.tr("High")),
        ):
            self.quality.addItem(label, key)
        self.folder = QPushButton()
        self.folder.setAccessibleName(self.tr("Folder for recordings"))
        self.folder.clicked.connect(self._choose_folder)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACE[2])
        rows: tuple[tuple[str, QWidget], ...] = (
            (self.tr("Size"), self.picture_size), (self.tr("Detail"), self.detail), (self.tr("Renderer"), self.backend),
            (self.tr("Format"), self.format), (self.tr("Rate"), self.rate), (self.tr("Quality"), self.quality),
            (self.tr("Folder"), self.folder),
        )  # fmt: skip
        for index, (label, widget) in enumerate(rows):
            text = QLabel(label)
            text.setMinimumWidth(86)
            grid.addWidget(text, index, 0)
            grid.addWidget(widget, index, 1)
        grid.setColumnStretch(1, 1)
        self.content.addLayout(grid)
        self.hint = muted_label("")
        self.add(self.hint)
        self.dress()

    def show_backends(self, backends: dict[str, str]) -> None:
        """Which renderers work here (`ok`), or why not."""
        for index in range(1, self.backend.count()):
            state = backends.get(self.backend.itemData(index), "ok")
            if state != "ok":
                self.backend.setItemText(index, self.tr("{} (not here)").format(self.backend.itemText(index)))
                self.backend.setItemData(index, state, Qt.ItemDataRole.ToolTipRole)
                self.backend.set_enabled(index, False)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.picture_size.choose(settings.picture)
        self.detail.choose(settings.max_gaussians)
        self.backend.choose(settings.backend)
        self.format.choose(settings.record_format)
        self.rate.choose(settings.record_fps)
        self.quality.choose(settings.record_quality)
        self.quality.setEnabled(settings.record_format != "png")  # which loses nothing
        self.hint.setText(self._price(settings))
        self.hint.setVisible(bool(self.hint.text()))
        folder = Path(settings.folder).name if settings.folder else self.tr("Videos")
        self.folder.setText(beside_icon(folder))
        self.folder.setToolTip(settings.folder or self.tr("The folder of your videos"))

    def dress(self) -> None:
        super().dress()
        self.folder.setIcon(icon("folder", current().muted, 16))

    def _price(self, settings: Settings) -> str:
        """What is to be known before recording begins; empty for what any machine can do."""
        if settings.record_format == "mp4":
            if settings.background == "transparent":
                return self.tr("MP4 cannot keep a transparent background: take another format.")
            return ""
        return self.tr("More work than MP4: on a slow or busy machine some images are dropped. They are counted.")

    def _picker(self, name: str, field: str) -> Picker:
        picker = Picker(name)
        picker.activated.connect(lambda: self._store.change(**{field: picker.currentData()}))
        return picker

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self.window(), self.tr("Folder for recordings"), self._store.value.folder or ""
        )
        if folder:
            self._store.change(folder=folder)
