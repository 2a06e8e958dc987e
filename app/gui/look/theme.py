"""Colours, type and spacing: two themes of one design."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PyQt6.QtWidgets import QApplication

from app.backdrop import Backdrop, Studio

__all__ = ["DARK", "LIGHT", "SPACE", "TYPE", "Theme", "apply_theme", "background_of", "current", "system_is_dark"]


@dataclass(frozen=True)
class Theme:
    """The tokens that everything is painted with."""

    dark: bool
    canvas: str
    """Behind everything."""
    surface: str
    """Panels."""
    raised: str
    """Buttons, fields."""
    hover: str
    line: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_text: str
    accent_soft: str
    record: str
    record_soft: str
    good: str
    warn: str
    bad: str
    backdrop: str
    """Around the avatar's picture, and behind small ones."""
    studio: Studio
    """Behind the avatar."""


DARK = Theme(
    dark=True,
    canvas="#131417", surface="#1a1c20", raised="#24272d", hover="#2d3138", line="#2c3037",
    text="#eceef1", muted="#a3a9b4", faint="#737a87",
    accent="#7c9cf5", accent_text="#0e1116", accent_soft="#27314b",
    record="#f0524f", record_soft="#43262a", good="#4fbf8b", warn="#e3b04b", bad="#f0625f", backdrop="#23262c",
    studio=Studio(lit=(0.36, 0.375, 0.41), shade=(0.095, 0.10, 0.115)),
)  # fmt: skip
LIGHT = Theme(
    dark=False,
    canvas="#eef0f3", surface="#ffffff", raised="#f3f4f7", hover="#e8eaef", line="#dfe2e8",
    text="#1a1d23", muted="#5a616e", faint="#757c89",
    accent="#3f63d6", accent_text="#ffffff", accent_soft="#e3eafc",
    record="#d93633", record_soft="#fbe4e3", good="#1d8a5b", warn="#a66a00", bad="#c8322f", backdrop="#dbdde2",
    studio=Studio(lit=(0.93, 0.935, 0.945), shade=(0.72, 0.735, 0.765)),
)  # fmt: skip

SPACE = (0, 4, 8, 12, 16, 24, 32)
"""The spacing grid, pixels."""
TYPE = {"caption": 11, "small": 12, "body": 13, "heading": 13, "title": 17, "display": 22}
"""The type scale, pixels."""

_current = DARK


def current() -> Theme:
    """The theme in force."""
    return _current


def background_of(theme: Theme, colour: str | None) -> Backdrop:
    """The background of the picture: the user's colour, or the theme's studio."""
    if colour is None:
        return theme.studio
    chosen = QColor(colour)
    return chosen.redF(), chosen.greenF(), chosen.blueF()


def system_is_dark(app: QApplication) -> bool:
    """What the desktop asks for; dark where it does not say."""
    hints = app.styleHints()
    return hints is None or hints.colorScheme() != Qt.ColorScheme.Light


def apply_theme(app: QApplication, choice: str) -> Theme:
    """Dress the application.

    Args:
        choice: `system`, `light` or `dark`.
    """
    global _current
    dark = system_is_dark(app) if choice == "system" else choice == "dark"
    theme = DARK if dark else LIGHT
    _current = theme
    app.setStyle("Fusion")
    font = QFont()
    families = set(QFontDatabase.families())
    for name in ("Inter", "SF Pro Text", "Segoe UI Variable", "Segoe UI", "Cantarell", "Noto Sans", "DejaVu Sans"):
        if name in families:
            font.setFamily(name)
            break
    font.setPixelSize(TYPE["body"])
    app.setFont(font)
    app.setPalette(_palette(theme))
    app.setStyleSheet(_style(theme))
    return theme


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for key, colour in {
        role.Window: theme.canvas, role.WindowText: theme.text, role.Base: theme.raised, role.Text: theme.text,
        role.AlternateBase: theme.surface, role.Button: theme.raised, role.ButtonText: theme.text,
        role.ToolTipBase: theme.raised, role.ToolTipText: theme.text, role.PlaceholderText: theme.faint,
        role.Highlight: theme.accent, role.HighlightedText: theme.accent_text, role.Link: theme.accent,
        role.Accent: theme.accent,
    }.items():  # fmt: skip
        palette.setColor(key, QColor(colour))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(theme.faint))
    return palette


def _style(t: Theme) -> str:
    small, body, title = TYPE["small"], TYPE["body"], TYPE["title"]
    return f"""
    * {{ outline: none; }}
    QMainWindow {{ background: {t.canvas}; }}
    QDialog {{ background: {t.surface}; border: 1px solid {t.line}; }}
    QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: 4px 8px; }}
    QLabel {{ background: transparent; color: {t.text}; }}
    QLabel[role="muted"] {{ color: {t.muted}; font-size: {small}px; }}
    QLabel[role="value"] {{ color: {t.muted}; font-size: {small}px; }}
    QLabel[role="title"] {{ font-size: {title}px; font-weight: 600; }}
    QLabel[role="problem"] {{ color: {t.bad}; font-size: {small}px; }}

    QScrollArea#side, QScrollArea#side > QWidget > QWidget {{ background: {t.surface}; border: none; }}
    QFrame#sideFrame {{ background: {t.surface}; border: none; border-left: 1px solid {t.line}; }}
    QFrame#bar {{ background: {t.surface}; border: none; border-top: 1px solid {t.line}; }}
    QFrame#panelLine {{ background: {t.line}; border: none; max-height: 1px; min-height: 1px; }}
    QLabel#status {{ color: {t.muted}; font-size: {small}px; }}
    QLabel#clock {{ font-size: {body}px; font-weight: 600; }}

    QPushButton, QToolButton {{
        background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: 6px;
        padding: 0 12px; min-height: 30px;
    }}
    QPushButton:hover, QToolButton:hover {{ background: {t.hover}; }}
    QPushButton:pressed, QToolButton:pressed {{ background: {t.line}; }}
    QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QListWidget:focus, QPlainTextEdit:focus {{
        border: 1px solid {t.accent};
    }}
    QPushButton:checked, QToolButton:checked {{
        background: {t.accent_soft}; border-color: {t.accent}; color: {t.text};
    }}
    QPushButton:disabled, QToolButton:disabled {{ color: {t.faint}; }}
    QPushButton[primary="true"] {{ background: {t.accent}; color: {t.accent_text}; border-color: {t.accent}; }}
    QPushButton[recording="true"] {{ background: {t.record_soft}; border-color: {t.record}; }}
    QPushButton[flat="true"], QToolButton[flat="true"] {{ background: transparent; border-color: transparent; }}
    QPushButton[flat="true"]:hover, QToolButton[flat="true"]:hover {{ background: {t.hover}; }}
    QPushButton[flat="true"]:focus, QToolButton[flat="true"]:focus {{ border-color: {t.accent}; }}
    QToolButton[compact="true"] {{ padding: 0 4px; }}
    QToolButton[square="true"] {{ padding: 0; min-width: 30px; max-width: 30px; }}
    QToolButton::menu-indicator {{ image: none; }}
    QPushButton#panelHeader {{
        background: transparent; border: 1px solid transparent; text-align: left; font-weight: 600;
        padding: 0 4px; min-height: 28px;
    }}
    QPushButton#panelHeader:hover {{ background: {t.hover}; }}
    QPushButton#panelHeader:focus {{ border-color: {t.accent}; }}

    QComboBox, QLineEdit {{
        background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: 6px;
        padding: 0 10px; min-height: 30px; selection-background-color: {t.accent};
        selection-color: {t.accent_text};
    }}
    QLineEdit QToolButton {{ background: transparent; border: none; padding: 0; min-height: 0; }}
    QComboBox:hover, QLineEdit:hover {{ background: {t.hover}; }}
    QComboBox::drop-down {{ border: none; width: 0; }}
    QComboBox::down-arrow {{ image: none; width: 0; }}
    QComboBox QAbstractItemView {{
        background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: 6px; padding: 4px;
        selection-background-color: {t.accent_soft}; selection-color: {t.text};
    }}
    QComboBox QAbstractItemView::item {{ min-height: 28px; padding: 0 8px; border-radius: 4px; }}
    QListWidget {{
        background: {t.raised}; border: 1px solid {t.line}; border-radius: 6px; padding: 4px; color: {t.text};
    }}
    QListWidget::item {{ min-height: 26px; padding: 0 8px; border-radius: 4px; }}
    QListWidget::item:hover {{ background: {t.hover}; }}
    QListWidget::item:selected {{ background: {t.accent_soft}; color: {t.text}; }}
    QPlainTextEdit {{
        background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: 6px; padding: 8px;
        font-family: monospace; font-size: {small}px;
    }}
    QMenu {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 8px; padding: 4px; }}
    QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 4px; color: {t.text}; }}
    QMenu::item:selected {{ background: {t.accent_soft}; }}
    QMenu::item:disabled {{ color: {t.faint}; }}
    QMenu::separator {{ height: 1px; background: {t.line}; margin: 4px 8px; }}
    QMenuBar {{ background: {t.surface}; color: {t.text}; border-bottom: 1px solid {t.line}; padding: 2px 8px; }}
    QMenuBar::item {{ background: transparent; padding: 5px 10px; border-radius: 4px; }}
    QMenuBar::item:selected {{ background: {t.hover}; }}

    QSlider {{ min-height: 22px; background: transparent; }}
    QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {t.line}; }}
    QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {t.accent}; }}
    QSlider::handle:horizontal {{
        width: 14px; height: 14px; margin: {"-5px" if t.dark else "-6px"} 0;
        border-radius: {7 if t.dark else 8}px; background: {t.text if t.dark else "#ffffff"};
        border: {"0px" if t.dark else "1px solid " + t.faint};
    }}
    QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus {{ background: {t.accent}; }}
    QSlider::sub-page:horizontal:disabled {{ background: {t.faint}; }}

    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 2px; }}
    QScrollBar::handle:vertical {{ background: {t.line}; border-radius: 3px; min-height: 32px; }}
    QScrollBar::handle:vertical:hover {{ background: {t.faint}; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
        background: none; height: 0; width: 0;
    }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 2px; }}
    QScrollBar::handle:horizontal {{ background: {t.line}; border-radius: 3px; min-width: 32px; }}
    """
