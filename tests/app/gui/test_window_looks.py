"""How the window looks: words, themes, keys, nothing pushed aside."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from PyQt6.QtCore import QRect, QRectF, Qt, QTranslator
from PyQt6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListWidget, QSlider

from app.gui.look.theme import DARK, LIGHT, current
from app.gui.look.wording import failure_words, notice_words, source_words
from app.gui.view.surroundings import fitted
from app.live.notice import Notice
from app.live.source import SourceState
from app.live.worker import Failure
from app.settings import Settings


def test_words_of_the_engine_can_be_translated(make_window: Any, plugged: Any, qapp: Any) -> None:
    class Shouting(QTranslator):
        def translate(self, context: str, text: str, *more: Any) -> str:  # type: ignore[override]
            return text.upper() if context == "Engine" else ""

        def isEmpty(self) -> bool:
            return False

    translator = Shouting()
    qapp.installTranslator(translator)
    try:
        assert notice_words(Notice("output", "VMC", "no route")) == "NOTHING IS SENT TO VMC: no route"
        assert source_words(SourceState("lost", "Mic", "anything", "stopped")) == "Mic STOPPED; TRYING TO GET IT BACK"
        assert failure_words(Failure("render", "cause", "")) == "THE RENDERER STOPPED: cause"
    finally:
        qapp.removeTranslator(translator)


def test_a_picture_is_fitted_and_a_pixel_is_no_border() -> None:
    assert fitted(320, 240, QRect(0, 0, 640, 640)) == QRectF(0, 80, 640, 480)
    assert fitted(511, 512, QRect(0, 0, 512, 512)) == QRectF(0, 0, 512, 512)


def test_the_status_line_says_how_far_the_renderer_is(
    make_window: Any, plugged: Any, plain_renderer: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    share: list[float | None] = [0.4]
    monkeypatch.setattr(plain_renderer, "preparing", property(lambda self: share[0]))
    window = make_window()
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)
    qtbot.waitUntil(
        lambda: "compiling the renderer, once on this machine: 40 %" in window.bar.status.text(), timeout=15000
    )
    assert not window.bridge.session.ready
    share[0] = None
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    qtbot.waitUntil(lambda: "compiling" not in window.bar.status.text(), timeout=15000)


def test_the_status_line_shows_whole_figures_or_none(make_window: Any, plugged: Any, qtbot: Any) -> None:
    """Cut off in the middle, 12 images skipped would read 1."""
    window = make_window()
    bar = window.bar
    bar._parts = [
        "36 images/s",
        "120 ms sound to picture",
        "45k Gaussians",
        "CPU renderer",
        "0 overflows",
        "12 skipped",
    ]
    seen = set()
    for width in range(700, 40, -7):
        bar.status.resize(width, bar.status.height())
        bar._fit_status()
        text = bar.status.text()
        shown = [part for part in text.split("   ·   ") if part != "…"]
        assert shown == bar._parts[: len(shown)]
        assert ("…" in text) == (len(shown) < len(bar._parts))
        assert bar.status.fontMetrics().horizontalAdvance(text) <= width or not shown
        seen.add(len(shown))
    assert len(seen) > 4
    assert "12 skipped" in bar.status.toolTip()


def test_themes(make_window: Any, plugged: Any) -> None:
    window = make_window()
    assert current() is DARK
    window.store.change(theme="light")
    assert current() is LIGHT
    assert window.bridge.session.scene.background == LIGHT.studio
    window.store.change(background_colour="#336699")
    assert window.bridge.session.scene.background == pytest.approx((0.2, 0.4, 0.6), abs=1e-3)
    window.store.change(background="transparent")
    assert window.bridge.session.scene.background is None


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_text_has_contrast(theme: Any) -> None:
    """WCAG 2 AA for the text that carries meaning; 3:1 for the faintest."""
    from PyQt6.QtGui import QColor

    def luminance(name: str) -> float:
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in QColor(name).getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def ratio(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in (theme.surface, theme.raised, theme.canvas):
        assert ratio(theme.text, ground) >= 7
        assert ratio(theme.muted, ground) >= 4.5
        assert ratio(theme.faint, ground) >= 3
    assert ratio(theme.bad, theme.surface) >= 4.5
    assert ratio(theme.accent_text, theme.accent) >= 4.5


def test_everything_has_a_name_and_can_be_reached_by_keys(make_window: Any, plugged: Any) -> None:
    window = make_window(Settings(theme="dark", collapsed=()))
    kinds = (QAbstractButton, QComboBox, QSlider, QLineEdit, QListWidget)
    for kind in kinds:
        for widget in window.findChildren(kind):
            inner = isinstance(widget.parent(), QLineEdit) or widget.objectName().startswith("qt_")
            if inner or not widget.isVisibleTo(window):
                continue
            name = widget.accessibleName() or (widget.text() if hasattr(widget, "text") else "")
            assert name, f"{widget} has no accessible name"
            if widget.isEnabled():
                assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, f"{name} cannot be reached by Tab"


def test_tab_goes_through_the_window_from_top_to_bottom(make_window: Any, plugged: Any) -> None:
    window = make_window(Settings(theme="dark", collapsed=()))
    window.resize(1000, 3000)
    order: list[Any] = []
    widget = window.side.avatars.header
    while widget not in order:
        order.append(widget)
        widget = widget.nextInFocusChain()
        while not (widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus):
            widget = widget.nextInFocusChain()
    side = [w for w in order if window.side.isAncestorOf(w)]
    tops = [w.mapTo(window.side, w.rect().topLeft()).y() for w in side]
    assert len(side) > 40
    assert order[: len(side)] == side, "the side bar is not left half-way"
    assert all(after > before - 30 for before, after in itertools.pairwise(tops)), "nothing jumps back up"


def test_what_matters_is_not_pushed_aside(make_window: Any, plugged: Any) -> None:
    banner = make_window().banner
    banner.put_up("The last run did not end cleanly.", "warn", "crash")
    banner.put_up("No microphone was found", "warn", "source")
    assert "cleanly" in banner.text
    banner.put_up("The disk is full", "bad", "recording")
    assert "disk" in banner.text
    banner.put_up("The renderer stopped", "bad", "failure")
    banner.put_up("No microphone was found", "bad", "source")
    assert "renderer" in banner.text
    banner.take_down()
    banner.put_up("Saved", "good", "saved")
    assert banner.text == "Saved"
