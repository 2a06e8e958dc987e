"""What a suffix stands for: container, codecs and their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avatar.errors import UserError

__all__ = ["FORMATS", "Format", "format_of", "video_options"]

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


@dataclass(frozen=True)
class Format:
    """A kind of video file."""

    container: str
    video: str
    pixels: str
    audio: str
    rates: tuple[int, ...] = ()
    """Sample rates that the sound's codec takes, Hz; empty for all."""
    options: dict[str, str] = field(default_factory=dict)
    """For the container."""
    most_live_fps: float | None = None
    """Images a second to take at most beside the engine where no rate is asked for; None takes all."""

    @property
    def alpha(self) -> bool:
        """Whether it keeps a transparent background."""
        return "a4" in self.pixels


# A killed process and a full disk lose the last moments alone, whatever the format.
#
# `hybrid_fragmented` writes fragments while running and turns the file into an ordinary one on a clean close.
# `frag_duration` (microseconds) bounds the last, open fragment. `delay_moov` lets the header know of AAC's 1024 priming
# samples; without it all would start 21 ms late. ProRes has keyframes only: a fragment for each would be too many.
_FRAGMENTS = {"frag_duration": "250000", "flush_packets": "1", "max_interleave_delta": "500000"}
# Matroska's clusters (milliseconds) stand in memory until they are whole.
_CLUSTERS = {"cluster_time_limit": "250", "flush_packets": "1"}
FORMATS = {
    ".mp4": Format(
        "mp4",
        "libx264",
        "yuv420p",
        "aac",
        _AAC_RATES,
        {"movflags": "hybrid_fragmented+frag_keyframe+delay_moov", **_FRAGMENTS},
    ),
    ".mkv": Format("matroska", "libx264", "yuv420p", "aac", _AAC_RATES, _CLUSTERS),
    ".mov": Format(
        "mov",
        "prores_ks",
        "yuva444p10le",
        "pcm_s16le",
        options={"movflags": "hybrid_fragmented+delay_moov", **_FRAGMENTS},
        most_live_fps=30.0,
    ),
    ".webm": Format("webm", "libvpx-vp9", "yuva420p", "libopus", (48000,), _CLUSTERS, most_live_fps=30.0),
}


def format_of(path: Path) -> Format:
    """What a file's suffix stands for.

    Raises:
        UserError: for one that stands for nothing.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(
            f"{path.name}: cannot write {path.suffix or 'a file without a suffix'}; "
            f"use {', '.join(FORMATS)} or a folder for a PNG sequence"
        )
    return form


_X264 = {"draft": ("ultrafast", 27), "standard": ("veryfast", 20), "high": ("fast", 15)}
_VP9 = {"draft": ("8", 40), "standard": ("6", 30), "high": ("4", 22)}
_VP9_LIVE_SPEED = "8"
_PRORES_QUANTISER = {"draft": 8, "standard": 4, "high": 2}
_LAMBDA = 118
"""FFmpeg's FF_QP2LAMBDA: its quantisers are given in units of it."""


def video_options(form: Format, quality: str, live: bool) -> dict[str, str]:
    """Settings of the video codec.

    Args:
        quality: one of `QUALITIES`.
        live: it must keep pace beside the engine.
    """
    if form.video == "libx264":
        preset, crf = _X264[quality]
        # Few images are held back in the encoder (a crash would lose them), and keyframes are set by time.
        return {
            "preset": preset, "crf": str(crf), "bf": "0", "rc-lookahead": "5", "g": "600", "forced-idr": "1",
            "x264-params": "sync-lookahead=0",
        }  # fmt: skip
    if form.video == "libvpx-vp9":
        speed, crf = _VP9[quality]
        return {
            "deadline": "realtime", "cpu-used": _VP9_LIVE_SPEED if live else speed, "crf": str(crf), "b": "0",
            "row-mt": "1", "tile-columns": "1", "auto-alt-ref": "0", "lag-in-frames": "0", "g": "60",
        }  # fmt: skip
    # ProRes 4444. A fixed quantiser spares the search for one: a sixth of the time, and half of prores_aw's.
    quantiser = str(_LAMBDA * _PRORES_QUANTISER[quality])
    return {"profile": "4", "vendor": "apl0", "alpha_bits": "8", "flags": "+qscale", "global_quality": quantiser}
