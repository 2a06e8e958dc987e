"""Seventy named expressions as recipes of ARKit blendshapes.

They play the part that Florence4D's seventy expressions play in the paper: faces that people make without speaking,
each at its apex. The recipes follow the action units of FACS and EMFACS; a name without a side stands for both sides.

Reference: Ekman, Friesen and Hager, "Facial Action Coding System", 2002; Principi et al., "The Florence 4D facial
expression dataset", 2023, for the number and the kind of the expressions.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict

__all__ = ["ALIASES", "EXPRESSIONS", "expression_label", "expression_name", "expression_weights"]

_SHORT = {
    "blink": "eyeBlink", "squint": "eyeSquint", "wide": "eyeWide", "down": "eyeLookDown", "up": "eyeLookUp",
    "jaw": "jawOpen", "forward": "jawForward", "close": "mouthClose", "funnel": "mouthFunnel",
    "pucker": "mouthPucker", "smile": "mouthSmile", "frown": "mouthFrown", "dimple": "mouthDimple",
    "stretch": "mouthStretch", "roll_lower": "mouthRollLower", "roll_upper": "mouthRollUpper",
    "shrug_lower": "mouthShrugLower", "shrug_upper": "mouthShrugUpper", "press": "mouthPress",
    "lower_down": "mouthLowerDown", "upper_up": "mouthUpperUp", "brow_down": "browDown",
    "brow_inner": "browInnerUp", "brow_outer": "browOuterUp", "puff": "cheekPuff", "cheek": "cheekSquint",
    "sneer": "noseSneer",
}  # fmt: skip

_RECIPES = """
happy: smile .8, cheek .55, squint .2, dimple .15, brow_outer .1
sad: frown .65, brow_inner .8, shrug_lower .35, squint .15, down .15, roll_lower .1
surprised: brow_inner .8, brow_outer .8, wide .7, jaw .3
afraid: brow_inner .85, brow_outer .35, brow_down .25, wide .75, stretch .5, jaw .12
disgusted: sneer .85, upper_up .45, brow_down .45, cheek .3, squint .35, shrug_lower .2
angry: brow_down .9, squint .4, wide .2, press .4, sneer .3, shrug_lower .2
contempt: smile_left .5, dimple_left .55, squint .15, cheek_left .25, brow_outer_right .2
smile: smile .6, cheek .2, dimple .1
smile_closed: smile .5, press .35, dimple .35, cheek .25
smile_open: smile .75, cheek .45, upper_up .35, jaw .12, squint .15
smile_polite: smile .35, brow_inner .1, dimple .15
smile_sly: smile_right .6, squint .35, brow_down_left .2, dimple_right .3
smile_sad: smile .3, brow_inner .65, frown .15, squint .1
smile_shy: smile .4, down .4, roll_lower .2, brow_inner .25, cheek .15
smile_proud: smile .4, shrug_lower .2, brow_outer .3, blink .15
smile_forced: stretch .45, smile .35, upper_up .1, brow_down .15
grin: smile .85, upper_up .45, lower_down .25, cheek .5, squint .25
laugh: smile .9, jaw .35, cheek .7, upper_up .4, squint .45, brow_outer .15
laugh_hard: smile .95, jaw .5, cheek .85, blink .6, upper_up .45, brow_down .2
joyful: smile .85, cheek .5, brow_inner .3, brow_outer .35, wide .2
delighted: smile .75, brow_inner .5, brow_outer .5, wide .4, upper_up .15
amused: smile .5, squint .3, dimple .2, brow_outer_left .3
relieved: smile .35, blink .3, brow_inner .35, puff .1
content: smile .3, blink .25, cheek .15
tender: smile .3, brow_inner .4, squint .2, blink .1
flirting: smile_left .5, blink_left .2, brow_outer_right .35, cheek_left .2
wink: blink_left .95, smile_left .45, cheek_left .55, brow_down_left .2
wink_right: blink_right .95, smile_right .45, cheek_right .55, brow_down_right .2
frown: brow_down .8, frown .3
worried: brow_inner .75, brow_down .25, frown .25, press .25
anxious: brow_inner .7, wide .35, stretch .3, roll_lower .35
sorrow: brow_inner .9, frown .75, squint .3, shrug_lower .45, down .25
crying: brow_inner .85, frown .7, cheek .5, blink .5, stretch .35, upper_up .2
grief: brow_inner .95, blink .6, frown .55, stretch .4, brow_down .2
disappointed: frown .45, shrug_lower .25, brow_inner .35, blink .25, press .2
pout: shrug_lower .65, pucker .2, brow_down .35, frown .35
sulking: shrug_lower .5, brow_down .55, down .3, frown .4, press .2
hurt: brow_inner .7, brow_down .3, cheek .35, frown .3, squint .35
pain: brow_down .75, cheek .7, blink .65, upper_up .4, stretch .45, sneer .35
agony: brow_down .8, cheek .75, blink .8, stretch .6, jaw .3, upper_up .45, sneer .45
startled: brow_inner .6, brow_outer .7, wide .95, stretch .25
astonished: brow_inner .95, brow_outer .95, wide .8, jaw .5
amazed: brow_inner .7, brow_outer .7, wide .6, smile .35, jaw .2
disbelief: brow_inner .3, brow_down_left .4, brow_outer_right .6, squint_left .3, shrug_upper .25
curious: brow_inner .35, brow_outer .55, wide .2, smile .1
interested: brow_outer .4, brow_inner .3, wide .15, smile .15
terrified: brow_inner .95, brow_down .35, wide .95, stretch .7, jaw .3, lower_down .25
panic: brow_inner .8, wide .9, stretch .55, jaw .2, upper_up .2
nervous: brow_inner .45, stretch .3, press .25, roll_lower .3, wide .15
disgust_mild: sneer .5, upper_up .25, brow_down .25
revolted: sneer .95, upper_up .6, brow_down .6, cheek .45, frown .35, shrug_lower .25, blink .2
nausea: sneer .55, frown .45, brow_inner .35, puff .25, blink .3, shrug_lower .2
scorn: sneer_left .55, upper_up_left .45, smile_left .2, squint .3, brow_down .2
arrogant: blink .35, brow_outer .35, shrug_lower .3, frown .2, dimple .2
irritated: brow_down .5, squint .3, press .3, sneer .15
furious: brow_down .95, wide .5, sneer .6, upper_up .4, lower_down .35, stretch .35
rage: brow_down .95, wide .6, sneer .75, jaw .35, upper_up .5, lower_down .4, cheek .2
snarl: sneer .85, upper_up .75, brow_down .7, squint .3
determined: brow_down .55, press .5, squint .25, shrug_lower .15
suspicious: squint .65, brow_down_left .5, brow_outer_right .3, press_left .2
skeptical: brow_outer_left .8, brow_down_right .5, dimple_right .35, squint_right .25
confused: brow_down .5, brow_inner .35, squint .35, shrug_upper .25, frown_left .15
thinking: brow_down .3, squint .25, press .25, up .3, dimple_left .3
concentrated: brow_down .6, squint .4, roll_lower .2
bored: blink .45, frown .2, shrug_lower .15, down .15, brow_inner .1
tired: blink .6, brow_inner .3, frown .15, brow_outer .15
sleepy: blink .8, brow_inner .15, brow_outer .3
embarrassed: smile .3, press .4, down .4, brow_inner .4, dimple .25
guilty: brow_inner .65, down .5, roll_lower .3, frown .3
puffed: puff .9, press .3, brow_outer .2
"""


def _weights(recipe: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in recipe.split(","):
        short, value = part.split()
        for side in ("left", "right"):
            if short.endswith(f"_{side}"):
                weights[_SHORT[short.removesuffix(f"_{side}")] + side.capitalize()] = float(value)
                break
        else:
            name = _SHORT[short]
            names = (name,) if name in NAMES else (f"{name}Left", f"{name}Right")
            weights |= dict.fromkeys(names, float(value))
    return weights


EXPRESSIONS = MappingProxyType(
    {
        name.strip(): MappingProxyType(_weights(recipe))
        for name, recipe in (line.split(":") for line in _RECIPES.strip().splitlines())
    }
)
"""Name -> ARKit blendshapes of its apex, 0..1."""


ALIASES = MappingProxyType({"smirk": "smile_sly", "sceptical": "skeptical", "wink_left": "wink", "fearful": "afraid"})
"""Other words for some of them."""


def expression_name(text: str) -> str | None:
    """The name of an expression as the library has it, from a name or label in any spelling; None if there is none."""
    words = text.lower().replace("-", " ").replace("_", " ").split()
    for name in ("_".join(words), "_".join([*words[1:], *words[:1]])):  # "sly smile" is smile_sly
        name = ALIASES.get(name, name)
        if name in EXPRESSIONS:
            return name
    return None


def expression_label(name: str) -> str:
    """A name as people read it: smile_sly is "Sly smile"."""
    return " ".join(reversed(name.split("_", 1))).capitalize()


def expression_weights(name: str) -> Float32[np.ndarray, "52"]:
    """The apex of an expression as blendshape weights in the order of `arkit.NAMES`.

    Raises:
        UserError: if there is none of that name.
    """
    if name not in EXPRESSIONS:
        raise UserError(f"no expression {name!r}: choose one of {', '.join(sorted(EXPRESSIONS))}")
    return weights_from_dict(EXPRESSIONS[name])
