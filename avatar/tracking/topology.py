"""Which of the face mesh's 468 points lie where. Left and right are the subject's."""

from __future__ import annotations

import numpy as np

__all__ = [
    "BROWS", "CHIN", "COUNT", "EYE_CORNERS", "EYE_RINGS", "LIDS", "LIPS_INNER", "LIPS_OUTER", "LOWER_LIDS",
    "LOWER_LIP", "NOSE_TIP", "OVAL", "STILL", "UPPER_LIDS", "UPPER_LIP",
]  # fmt: skip

COUNT = 468
NOSE_TIP, CHIN = 4, 152

EYE_RINGS = (
    np.array([33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173]),
    np.array([263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398]),
)
"""The lids' border of the right and the left eye in the iris network's order: outer corner, lower row, inner corner,
upper row from the outside in."""
EYE_CORNERS = ((33, 133), (362, 263))
"""Of the right and the left eye, from left to right in the picture."""
LIDS = np.concatenate(EYE_RINGS)
UPPER_LIDS = (EYE_RINGS[0][9:], EYE_RINGS[1][9:])
LOWER_LIDS = (EYE_RINGS[0][1:8], EYE_RINGS[1][1:8])
LIPS_INNER = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95])
LIPS_OUTER = np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146])
"""Rings, from the right corner over the upper lip to the left and back."""
UPPER_LIP = np.array([
    185, 40, 39, 37, 0, 267, 269, 270, 409, 184, 74, 73, 72, 11, 302, 303, 304, 408, 183, 42, 41, 38, 12, 268, 271,
    272, 407, 191, 80, 81, 82, 13, 312, 311, 310, 415,
])  # fmt: skip
LOWER_LIP = np.array([
    146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403,
    319, 325, 95, 88, 178, 87, 14, 317, 402, 318, 324,
])  # fmt: skip
OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])  # fmt: skip
"""The outline of the face, a ring. It follows what is seen, not a place on the skin."""
BROWS = np.array([46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336])
STILL = np.array([
    168, 6, 197, 195, 5, 4, 1, 8, 9, 151, 108, 337, 69, 299, 104, 333, 133, 362, 33, 263, 243, 463, 130, 359, 50, 280,
])  # fmt: skip
"""Points that expressions move least: bridge and tip of the nose, forehead, corners of the eyes."""
