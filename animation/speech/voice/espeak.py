"""espeak-ng's pronunciation of any text, through its library."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from pathlib import Path

from animation.speech.phone_sets import from_ipa
from avatar.errors import UserError

__all__ = ["EspeakLibrary"]

_SYNCHRONOUS = 2
_PHONEME_EVENTS_IPA = 3
_UTF8 = 1
_IPA = 0x02
_TIES = 0x80
# The library finds a voice by the name of its file, where the command line also knows languages.
_FILES = {"en-gb": "en", "fr-fr": "fr"}


class EspeakLibrary:
    """espeak-ng in this process. One at a time: the library keeps one global state.

    Raises:
        UserError: the library is not installed.
    """

    def __init__(self) -> None:
        self._library, data = _load()
        folder = str(data).encode() if data else None
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, folder, _PHONEME_EVENTS_IPA)
        if self.rate <= 0:
            raise UserError("espeak-ng found no voice data: apt install espeak-ng-data")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_Info.restype = ctypes.c_char_p

    def data_dir(self) -> Path:
        """Where the library keeps its voices."""
        path = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(path))
        return Path((path.value or b"").decode())

    def choose(self, voice: str) -> None:
        """Take a language, with an optional variant: 'en-gb', 'en-us+f2'.

        Raises:
            ValueError: no such voice.
        """
        language, plus, variant = voice.partition("+")
        name = _FILES.get(language, language) + plus + variant
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")

    def ipa(self, text: str, voice: str, tie: str = "") -> list[str]:
        """The clauses of a text in IPA, with stress marks.

        Args:
            text: what to say.
            voice: see `choose`.
            tie: a character that joins the parts of a diphthong or affricate; none if empty.

        Raises:
            ValueError: no such voice.
        """
        return self._clauses(text, voice, _IPA | (_TIES | ord(tie) << 8 if tie else 0))

    def pronounce(self, text: str, voice: str) -> list[str]:
        """The phonemes of a text, without pauses.

        Raises:
            ValueError: no such voice.
        """
        phonemes: list[str] = []
        for clause in self._clauses(text, voice, _IPA | ord("_") << 8):
            for symbol in clause.replace(" ", "_").split("_"):
                phonemes.extend(from_ipa(symbol))
        return phonemes

    def _clauses(self, text: str, voice: str, mode: int) -> list[str]:
        self.choose(voice)
        buffer = ctypes.create_string_buffer(text.encode())
        pointer = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while pointer.value:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, mode)
            clauses.append((clause or b"").decode("utf-8", "replace").strip())
        return [clause for clause in clauses if clause]


def _load() -> tuple[ctypes.CDLL, Path | None]:
    """The library, and the folder of its data where it does not know that itself."""
    bundled = importlib.util.find_spec("espeakng_loader")
    if bundled is not None and bundled.origin is not None:
        folder = Path(bundled.origin).parent
        for path in sorted(folder.glob("*espeak-ng*.*")):
            if path.suffix in (".so", ".dylib", ".dll"):
                return ctypes.CDLL(str(path)), folder / "espeak-ng-data"
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    try:
        return ctypes.CDLL(name), None
    except OSError as error:
        raise UserError(f"espeak-ng is missing ({error}): apt install libespeak-ng1 espeak-ng-data") from error
