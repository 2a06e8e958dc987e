"""The panel of outputs to other programs."""

from __future__ import annotations

from PyQt6.QtWidgets import QLineEdit

from app.gui.main.notices import Banner
from app.gui.panels.controls import Panel, Switch, muted_label
from app.live.outputs import parse_target
from app.settings import Settings, Store
from avatar.errors import UserError

__all__ = ["OutputsPanel"]


class OutputsPanel(Panel):
    """VMC, Live Link Face and the virtual camera; all off at first, and on this machine unless told otherwise."""

    def __init__(self, store: Store, banner: Banner) -> None:
        super().__init__(self.tr("Outputs"))
        self._store, self._banner = store, banner
        self.vmc = Switch(self.tr("VMC (VTuber programs)"))
        self.vmc.toggled.connect(lambda on: store.change(vmc=on))
        self.vmc_target = self._target(self.tr("VMC receiver, host:port"), "vmc_target", 39539)
        self.livelink = Switch(self.tr("Live Link Face (Unreal)"))
        self.livelink.toggled.connect(lambda on: store.change(livelink=on))
        self.livelink_target = self._target(self.tr("Live Link receiver, host:port"), "livelink_target", 11111)
        self.camera = Switch(self.tr("Virtual camera"))
        self.camera.toggled.connect(lambda on: store.change(virtual_camera=on))
        self.add(self.vmc, self.vmc_target, self.livelink, self.livelink_target, self.camera)
        self.add(muted_label(self.tr("Sent in step with the picture, so that lips and delayed sound agree.")))

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.vmc.setChecked(settings.vmc)
        self.livelink.setChecked(settings.livelink)
        self.camera.setChecked(settings.virtual_camera)
        for field, text in (
            (self.vmc_target, settings.vmc_target),
            (self.livelink_target, settings.livelink_target),
        ):
            if not field.hasFocus():
                field.setText(text)

    def _target(self, name: str, setting: str, port: int) -> QLineEdit:
        field = QLineEdit()
        field.setAccessibleName(name)
        field.setToolTip(name)

        def apply() -> None:
            try:
                host, number = parse_target(field.text(), port)
            except UserError as error:
                self._banner.put_up(str(error), "warn", "outputs", for_s=8)
                field.setText(getattr(self._store.value, setting))
                return
            self._store.change(**{setting: f"{host}:{number}"})
            field.setText(f"{host}:{number}")

        field.editingFinished.connect(apply)
        return field
