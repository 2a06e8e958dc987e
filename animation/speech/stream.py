"""Sound in, mouth poses out, live: features, network, and the rules that seal the lips and keep them still.

However the sound is cut into chunks, the poses are the same to the last bit: all work is done hop by hop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.speech.audio import HOP_S, HOP_SAMPLES, LevelTracker, LogMel
from animation.speech.channels import CHANNELS, CLOSED, JAW, LIP_IN, REST, TONGUE
from animation.speech.held import Held, HeldVowels
from animation.speech.model import Ear, SealRule, SpeechModelConfig, SpeechNetwork, SpeechOutput, load_weights
from animation.speech.phonemes import VISEME_INDEX, VISEMES

__all__ = ["Seal", "SpeechFrames", "SpeechStream", "tongue_heard"]

_NATURAL_PER_DB = np.log(10.0) / 10.0
_QUIETEST_DB = -100.0

# The gate between rest and speech moves by these shares of the distance each pose: up in 40 ms, down in 120 ms.
_GATE_RISE, _GATE_FALL = 0.6, 0.25

# The jaw follows emphasis: by this share a dB of loudness over the speaker's usual level, within these bounds.
_JAW_PER_DB = 0.02
_JAW_BOUNDS = (0.8, 1.2)
_USUAL_BELOW_LEVEL_DB = 6.0  # speech lies about this far below the level tracker, which follows peaks
_SLOW, _FAST = 0.01, 0.15

# A weak sound after a silence is half a silence to the network; how far it is f or v is asked of the other half.
_SILENT, _BITING = VISEME_INDEX["sil"], VISEME_INDEX["FF"]
_LIKELY, _SURE = 0.35, 0.6
# The tongue of a th, and of t, d, n and l; and the probabilities between which they are believed.
_TONGUE_BETWEEN, _TONGUE_UP = 1.0, 0.8
_BELIEVED = (0.15, 0.55)
_BETWEEN = VISEME_INDEX["TH"]
_UP = [VISEME_INDEX["DD"], VISEME_INDEX["nn"]]

# A vowel that lasts: how fast trust in the network follows what it says, and below what it is not trusted alone.
_TRUST, _TRUSTED = 0.15, 4.0

_SILENT_HOPS = 50

_SEALED = 0.5
_APART = 0.29
_SEALED_JAW = 0.35
_UNSEALED_CLOSED = 0.8  # the seal alone decides on full closure; rest lies at 0.75


@dataclass(frozen=True)
class SpeechFrames:
    """Mouth poses in a row; pose k of a stream describes the time (k + 0.5) * hop_s of its sound.

    Attributes:
        articulation: (T, 7) in 0..1, the channels of `animation.speech.channels.CHANNELS`.
        visemes: (T, V) probabilities of `animation.speech.phonemes.VISEMES`.
        closure: (T,) how surely the lips seal on a p, b or m; 0.5 and more means sealed.
        voice: (T,) 0 at rest, 1 in speech, smooth in between.
        loudness_db: (T,) energy of the sound in dB of full scale.
    """

    articulation: Float[np.ndarray, "t 7"]
    visemes: Float[np.ndarray, "t v"]
    closure: Float[np.ndarray, " t"]
    voice: Float[np.ndarray, " t"]
    loudness_db: Float[np.ndarray, " t"]

    def __len__(self) -> int:
        return len(self.voice)

    @classmethod
    def empty(cls) -> SpeechFrames:
        """No poses."""
        none = np.zeros(0, np.float32)
        return cls(
            np.zeros((0, len(CHANNELS)), np.float32),
            np.zeros((0, len(VISEMES)), np.float32),
            none,
            none,
            none,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[SpeechFrames]) -> SpeechFrames:
        """One row of all poses."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def tongue_heard(
    tongue: Float[np.ndarray, "*batch"], visemes: Float[np.ndarray, "*batch v"]
) -> Float[np.ndarray, "*batch"]:
    """The channel `tongue`, sharpened by which viseme it is: a curve alone keeps th, l and s within each other's reach.

    Args:
        tongue: the channel, 0..1.
        visemes: probabilities of `VISEMES`.
    """
    low, high = _BELIEVED
    between = np.clip((visemes[..., _BETWEEN] - low) / (high - low), 0, 1)
    up = np.clip((visemes[..., _UP].sum(-1) - low) / (high - low), 0, 1) * (1 - between)
    return tongue + between * (_TONGUE_BETWEEN - tongue) + up * (_TONGUE_UP - tongue)


class Seal:
    """Decides when the lips are together: at once when sure, after two likely poses otherwise; then hysteresis.

    Args:
        rule: the probabilities and the shortest length.
    """

    def __init__(self, rule: SealRule) -> None:
        self._rule = rule
        self.reset()

    def reset(self) -> None:
        """Lips apart."""
        self._age = 0  # poses since the lips sealed; 0 while they are apart
        self._before = 0.0

    def step(self, probability: float) -> float:
        """0.5..1 while sealed, below 0.3 while apart: nothing in between that could half-close the lips."""
        rule = self._rule
        if self._age == 0:
            sure = probability >= rule.on
            likely = min(probability, self._before) >= rule.likely
            self._age = 1 if sure or likely else 0
        elif probability < rule.off and self._age >= rule.hold:
            self._age = 0
        else:
            self._age += 1
        self._before = probability
        if self._age:
            return _SEALED + (1 - _SEALED) * min(1.0, max(0.0, (probability - rule.off) / (1 - rule.off)))
        return _APART * min(1.0, probability / rule.on)


def _bitten(visemes: Float[np.ndarray, " v"]) -> float:
    """How surely what is spoken, if anything is, is an f or v: 0..1."""
    share = float(visemes[_BITING]) / max(1.0 - float(visemes[_SILENT]), 0.05)
    return min(max((share - _LIKELY) / (_SURE - _LIKELY), 0.0), 1.0)


def _lookahead_ms(hops: int) -> float:
    """A pose describes the middle of its hop, and needs the rest of it."""
    return (hops + 0.5) * HOP_S * 1000


def _nearest(config: SpeechModelConfig, lookahead_ms: float) -> int:
    return min(config.lookaheads_hops, key=lambda hops: abs(_lookahead_ms(hops) - lookahead_ms))


class SpeechStream:
    """Turns mono sound at 16 kHz into mouth poses, 50 a second.

    Pose k leaves as soon as the sound up to (k + 1) * hop_s + lookahead is there.

    Args:
        network: listens; `open` takes it from a file.
    """

    hop_s = HOP_S

    def __init__(self, network: Ear) -> None:
        self._network = network
        self._lookahead = network.lookahead_hops
        self._config = config = network.config
        self._mel = LogMel()
        self._level = LevelTracker()
        self._seal = Seal(config.seal(self._lookahead))
        self._vowels = HeldVowels()
        self._memory, self._start_db = self._listen_to_silence()
        self.reset()

    @classmethod
    def open(cls, weights: Path | None = None, lookahead_ms: float | None = None) -> SpeechStream:
        """The stream of a weights file.

        Args:
            weights: the file; the shipped one when None.
            lookahead_ms: how much sound after a pose's instant is waited for: more is surer, less is quicker. The
                nearest that the weights have is taken; the surest when None.

        Raises:
            UserError: the weights cannot be read.
        """
        config, tensors = load_weights(weights)
        hops = config.lookaheads_hops[0] if lookahead_ms is None else _nearest(config, lookahead_ms)
        return cls(SpeechNetwork(config, tensors, hops))

    def _listen_to_silence(self) -> tuple[tuple[np.ndarray, ...], float]:
        """The network's memory and the level after a second of silence, in which every stream begins.

        A network that starts from nothing takes a noise that is there from the first sample on for a voice.
        """
        silence = np.zeros(HOP_SAMPLES, np.float32)
        for _ in range(_SILENT_HOPS):
            features, _ = self._features(silence)
            self._network.step(features)
        return self._network.memory(), self._level.level_db

    @property
    def lookahead_ms(self) -> float:
        """Sound after a pose's instant that must have come before the pose can leave, in milliseconds."""
        return _lookahead_ms(self._lookahead)

    def reset(self) -> None:
        """Forget all sound, as if new."""
        self._network.recall(self._memory)
        self._mel.reset()
        self._level.level_db = self._start_db
        self._seal.reset()
        self._vowels.reset()
        self._trust = 1.0
        self._pending = np.zeros(0, np.float32)
        self._heard: deque[tuple[float, float, Held]] = deque()
        self._received = 0
        self._emitted = 0
        self._hops = 0
        self._speaking = False
        self._gate = 0.0
        self._usual_db = 0.0
        self._emphasis_db = 0.0

    def feed(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """Take the next sound, mono float32 at 16 kHz; give the poses that it completes."""
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"expected mono samples of shape (n,), got {samples.shape}")
        self._received += len(samples)
        return self._run(samples)

    def finish(self) -> SpeechFrames:
        """The remaining poses, as if silence followed; there is one pose for each hop begun. Then starts anew."""
        total = -(-self._received // HOP_SAMPLES)
        hops_needed = total + self._lookahead - self._hops if total else 0
        silence = np.zeros(max(0, hops_needed * HOP_SAMPLES - len(self._pending)), np.float32)
        frames = self._run(silence)
        self.reset()
        return frames

    def _run(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        sound = np.concatenate([self._pending, np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)])
        count = len(sound) // HOP_SAMPLES
        poses = [self._hop(sound[i * HOP_SAMPLES : (i + 1) * HOP_SAMPLES]) for i in range(count)]
        self._pending = sound[count * HOP_SAMPLES :]
        rows = [pose for pose in poses if pose is not None]
        if not rows:
            return SpeechFrames.empty()
        return SpeechFrames(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))

    def _features(self, samples: Float[np.ndarray, " 320"]) -> tuple[Float[np.ndarray, "2 40"], float]:
        """What the network sees of a hop, and the hop's energy relative to the speaker's level in dB."""
        mel = self._mel.hop(samples)
        energy_db = 10.0 * float(np.log10(np.exp(mel).mean()))
        level_db = self._level.hop(energy_db)
        return mel - np.float32(level_db * _NATURAL_PER_DB), energy_db - level_db

    def _hop(
        self, samples: Float[np.ndarray, " 320"]
    ) -> tuple[Float[np.ndarray, " 7"], Float[np.ndarray, " v"], float, float, float] | None:
        features, below_level_db = self._features(samples)
        output = self._network.step(features)
        loudness_db = 10.0 * float(np.log10(np.mean(np.square(samples), dtype=np.float64) + 10 ** (_QUIETEST_DB / 10)))
        self._heard.append((loudness_db, below_level_db, self._vowels.hop(samples, output.voice)))
        self._hops += 1
        if self._hops <= self._lookahead:
            return None
        loudness_db, below_level_db, held = self._heard.popleft()
        if self._heard:
            held = self._heard[0][2]  # its window is half a hop further back than it is long
        return self._pose(self._held_on(output, held), loudness_db, below_level_db)

    def _held_on(self, output: SpeechOutput, held: Held) -> SpeechOutput:
        """What the network says, but for a vowel that lasts: it goes on when that takes it for speech no more."""
        spoken = output.voice * (1.0 - float(output.visemes[_SILENT]))
        self._trust += _TRUST * (spoken - self._trust)
        share = np.float32(held.amount * min(max(_TRUSTED * (1.0 - self._trust), 0.0), 1.0))
        if share == 0:
            return output
        articulation = output.articulation + share * (held.articulation - output.articulation)
        parted = held.amount * (1.0 - float(held.articulation[CLOSED]))
        articulation[CLOSED] = min(float(articulation[CLOSED]), 1.0 - parted)
        return SpeechOutput(
            output.visemes + share * (held.visemes - output.visemes),
            articulation,
            output.closure * (1.0 - float(share)),
            max(output.voice, held.amount),
        )

    def _pose(
        self, output: SpeechOutput, loudness_db: float, below_level_db: float
    ) -> tuple[Float[np.ndarray, " 7"], Float[np.ndarray, " v"], float, float, float]:
        """Rules on top of what the network says about one pose."""
        c = self._config
        self._speaking = output.voice >= (c.voice_off if self._speaking else c.voice_on)
        goal = 1.0 if self._speaking else 0.0
        self._gate += (goal - self._gate) * (_GATE_RISE if goal > self._gate else _GATE_FALL)
        closure = self._seal.step(output.closure) * self._gate
        articulation = REST + np.float32(self._gate) * (output.articulation - REST)
        articulation[LIP_IN] = max(float(articulation[LIP_IN]), self._gate * _bitten(output.visemes))
        articulation[TONGUE] = self._gate * tongue_heard(output.articulation[TONGUE], output.visemes)
        if self._speaking:
            self._emphasis_db += _FAST * (below_level_db + _USUAL_BELOW_LEVEL_DB - self._emphasis_db)
            self._usual_db += _SLOW * (self._emphasis_db - self._usual_db)
        emphasis = np.clip(1 + _JAW_PER_DB * (self._emphasis_db - self._usual_db), *_JAW_BOUNDS)
        articulation[JAW] = min(1.0, float(articulation[JAW] * emphasis))
        if closure >= _SEALED:
            articulation[CLOSED] = max(float(articulation[CLOSED]), closure)
            articulation[JAW] = min(float(articulation[JAW]), _SEALED_JAW)
        else:
            articulation[CLOSED] = min(float(articulation[CLOSED]), _UNSEALED_CLOSED)
        return articulation, output.visemes, closure, self._gate, loudness_db
