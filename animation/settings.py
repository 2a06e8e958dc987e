"""How the head is to move: what a user may set."""

from __future__ import annotations

from dataclasses import dataclass, field

from animation.expression.prototypes import check_emotion
from animation.speech.mouth import ClosureGate
from avatar.errors import UserError

__all__ = ["DriverSettings"]


@dataclass(frozen=True)
class DriverSettings:
    """How the head moves. Replaceable at any time; a change takes effect with the next pose."""

    emotion: str = "neutral"
    """One of `expression.emotions.FEELINGS`: the eight emotions and the named expressions, in any spelling."""
    intensity: float = 1.0
    transition_s: float = 0.5
    """How long the slowest change of emotion takes (to sadness); surprise comes in half of it."""
    expression: str | None = None
    """One more of `FEELINGS`, held on top of the emotion: a raised brow, a smirk."""
    expression_amount: float = 1.0
    seed: int = 0
    """Of everything that is random; a change restarts the idle motion."""
    blinks: bool = True
    gaze: bool = True
    head: bool = True
    mouth_opening: float = 1.0
    """Size of the mouth's movements, 0..2; closing the lips is not affected."""
    liveliness: float = 1.0
    """Size of the movements of head and brows that accompany speech, 0..2."""
    blink_rate: float = 1.0
    """How often the eyes blink, 0..4."""
    personal: float = 1.0
    """How far mouth, blinks and head move as with the person that the avatar was captured from, 0..1."""
    variety: float = 0.5
    """How far a feeling may go from its prototype as it lives on, 0..1."""
    emphasis: float = 1.0
    """How much stresses of the voice show, 0..2."""
    emotion_over_speech: float = 0.5
    """How well an emotion's mouth holds while the voice speaks: 0 hardly, 0.5 as people do, 1 fully."""
    follow_voice: bool = False
    """Whether how aroused the voice sounds moves the emotion's intensity."""
    calm: float = 0.5
    """0 follows the model pose by pose, 1 is calm; closures are sharp at any value."""
    gate_db: float = -60.0
    """Sound below this loudness leaves the mouth at rest."""
    lookahead_ms: float = 70.0
    """How much sound after a moment the speech model that ships waits for: 70 is surest, 30 and 10 are quicker.
    A driver keeps the one it was made with."""
    closure: ClosureGate = field(default_factory=ClosureGate)

    def __post_init__(self) -> None:
        check_emotion(self.emotion, self.intensity, self.transition_s)
        if self.expression is not None:
            check_emotion(self.expression, self.expression_amount, 0.0)
        for name, low, high in (
            ("mouth_opening", 0.0, 2.0),
            ("liveliness", 0.0, 2.0),
            ("blink_rate", 0.0, 4.0),
            ("personal", 0.0, 1.0),
            ("variety", 0.0, 1.0),
            ("emphasis", 0.0, 2.0),
            ("emotion_over_speech", 0.0, 1.0),
            ("calm", 0.0, 1.0),
            ("gate_db", -120.0, 0.0),
            ("lookahead_ms", 0.0, 1000.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name.replace('_', ' ')} must lie in {low:g}..{high:g}, got {value:g}")
