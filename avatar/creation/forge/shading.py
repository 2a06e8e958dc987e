"""Display colours of lit surfaces and fibres, as spherical harmonics of degree 2 of the viewing direction.

References:
    R. Ramamoorthi, P. Hanrahan, "An Efficient Representation for Irradiance Environment Maps" (2001): the SH basis.
    B. Walter et al., "Microfacet Models for Refraction through Rough Surfaces" (2007): the GGX lobe.
    J. Kajiya, T. Kay, "Rendering Fur with Three Dimensional Textures" (1989): light on a fibre.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numba import njit

from avatar.creation.forge.lighting import Studio, even_directions, irradiance
from avatar.creation.forge.splats import SH_COEFFICIENTS, SH_DC

__all__ = ["constant_sh", "display", "fit_sh", "sh_basis", "shade_fibres", "shade_surface", "view_directions"]

_EXPOSURE = 1.08


def display(linear: np.ndarray) -> np.ndarray:
    """Linear light to display values 0..1: a gentle filmic shoulder, then the sRGB curve.

    The shoulder keeps highlights on skin from clipping to white; the toe stays straight, so shadows keep their warmth.
    """
    x = np.clip(linear * _EXPOSURE, 0, None)
    x = np.where(x < 0.55, x, 0.55 + 0.45 * (1 - np.exp(-(x - 0.55) / 0.45)))
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def sh_basis(directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 9"]:
    """Real spherical harmonics of degree 2, in the order and with the signs of 3D Gaussian splatting."""
    x, y, z = directions.T
    c1 = 0.4886025119029199
    c2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
    return np.stack(
        [
            np.full_like(x, SH_DC),
            -c1 * y,
            c1 * z,
            -c1 * x,
            c2[0] * x * y,
            c2[1] * y * z,
            c2[2] * (2 * z * z - x * x - y * y),
            c2[3] * x * z,
            c2[4] * (x * x - y * y),
        ],
        1,
    )


def view_directions() -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, " k"]]:
    """Directions from the head to a viewer, with weights: views from the front count most, the back hardly."""
    d = even_directions(52)
    d = d[d[:, 2] > -0.45]
    yaw = np.degrees(np.arctan2(d[:, 0], d[:, 2]))
    pitch = np.degrees(np.arcsin(d[:, 1]))
    return d, 0.04 + np.exp(-0.5 * (yaw / 42) ** 2 - 0.5 * (pitch / 24) ** 2)


@lru_cache(maxsize=1)
def _solver() -> np.ndarray:
    """(9, k) matrix from colours at the viewing directions to coefficients: weighted, a little ridged least squares."""
    views, weights = view_directions()
    basis = sh_basis(-views)
    ridge = np.diag([0.0] + [1e-3] * 3 + [4e-3] * 5) * weights.sum()
    return np.linalg.solve((basis * weights[:, None]).T @ basis + ridge, (basis * weights[:, None]).T)


def fit_sh(colours: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, "n 9 3"]:
    """SH coefficients whose value + 0.5 is nearest to the display colours seen from `view_directions()`."""
    return np.einsum("ck,nkd->ncd", _solver(), colours - 0.5, optimize=True)


def constant_sh(colours: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 9 3"]:
    """SH coefficients of display colours that look the same from everywhere."""
    out = np.zeros((len(colours), SH_COEFFICIENTS, 3))
    out[:, 0] = (colours - 0.5) / SH_DC
    return out


@njit(cache=True, nogil=True, fastmath=True)
def _ggx_sum(normals, visibility, lights, radiance, views, alpha, amount):
    """(n, k, 3) light mirrored towards every view: GGX lobe, Schlick's Fresnel, smooth-joint shadowing."""
    n, k, d = normals.shape[0], views.shape[0], lights.shape[0]
    out = np.zeros((n, k, 3), np.float32)
    half = np.empty((k, d, 3), np.float32)
    fresnel = np.empty((k, d), np.float32)
    for v in range(k):
        for i in range(d):
            h0, h1, h2 = views[v, 0] + lights[i, 0], views[v, 1] + lights[i, 1], views[v, 2] + lights[i, 2]
            length = max(1e-6, (h0 * h0 + h1 * h1 + h2 * h2) ** 0.5)
            half[v, i, 0], half[v, i, 1], half[v, i, 2] = h0 / length, h1 / length, h2 / length
            vh = min(1.0, max(0.0, (views[v, 0] * h0 + views[v, 1] * h1 + views[v, 2] * h2) / length))
            fresnel[v, i] = 0.035 + 0.965 * (1.0 - vh) ** 5
    for p in range(n):
        if amount[p] <= 0.0:
            continue
        n0, n1, n2 = normals[p, 0], normals[p, 1], normals[p, 2]
        a2 = alpha[p] * alpha[p]
        for v in range(k):
            nv = n0 * views[v, 0] + n1 * views[v, 1] + n2 * views[v, 2]
            if nv <= 0.02:
                nv = 0.02
            for i in range(d):
                nl = n0 * lights[i, 0] + n1 * lights[i, 1] + n2 * lights[i, 2]
                if nl <= 0.0 or visibility[p, i] <= 0.01:
                    continue
                nh = n0 * half[v, i, 0] + n1 * half[v, i, 1] + n2 * half[v, i, 2]
                q = nh * nh * (a2 - 1.0) + 1.0
                joint = 0.5 / (nl * (nv * (1 - alpha[p]) + alpha[p]) + nv * (nl * (1 - alpha[p]) + alpha[p]))
                s = a2 / (3.14159265 * q * q) * joint * fresnel[v, i] * nl * visibility[p, i] * amount[p]
                out[p, v, 0] += s * radiance[i, 0]
                out[p, v, 1] += s * radiance[i, 1]
                out[p, v, 2] += s * radiance[i, 2]
    return out


def shade_surface(
    studio: Studio,
    albedo: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    visibility: Float[np.ndarray, "n d"],
    light: Float[np.ndarray, "n 3"] | None = None,
    specular: float | np.ndarray = 0.0,
    roughness: float | np.ndarray = 0.5,
    wrap: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Float[np.ndarray, "n 9 3"]:
    """Display colours of a lit surface as SH.

    Args:
        studio: the lights; `visibility` has one column per direction of it.
        albedo: linear reflectance, 0..1.
        normals: unit, outward (perturbed for pores and weave).
        visibility: 0..1.
        light: the arriving light where the caller has scattered it already; otherwise it is summed here with `wrap`.
        specular: strength of the sheen, 1 = skin's index of refraction on a closed surface.
        roughness: GGX roughness, squared to alpha.
    """
    if light is None:
        light = irradiance(studio, normals, visibility, wrap)
    base = albedo * light
    views, _ = view_directions()
    n = len(albedo)
    amount = np.broadcast_to(np.asarray(specular, np.float32), (n,))
    alpha = np.broadcast_to(np.asarray(roughness, np.float32) ** 2, (n,))
    out = np.empty((n, SH_COEFFICIENTS, 3))
    for s in range(0, n, 8192):
        block = slice(s, s + 8192)
        mirrored = _ggx_sum(
            np.ascontiguousarray(normals[block], np.float32),
            np.ascontiguousarray(visibility[block], np.float32),
            studio.directions.astype(np.float32),
            studio.radiance.astype(np.float32),
            views.astype(np.float32),
            np.ascontiguousarray(alpha[block]),
            np.ascontiguousarray(amount[block]),
        )
        out[block] = fit_sh(display(base[block, None] + mirrored))
    return out


@njit(cache=True, nogil=True, fastmath=True)
def _fibre_sum(tangents, outward, visibility, lights, radiance, views, albedo, gloss, shift):
    """(n, k, 3) light from fibres: wide diffuse, a white lobe towards the root, a coloured one towards the tip."""
    n, k, d = tangents.shape[0], views.shape[0], lights.shape[0]
    out = np.zeros((n, k, 3), np.float32)
    for p in range(n):
        t0, t1, t2 = tangents[p, 0], tangents[p, 1], tangents[p, 2]
        tint = albedo[p] ** 0.75
        for i in range(d):
            vis = visibility[p, i]
            if vis <= 0.004:
                continue
            tl = t0 * lights[i, 0] + t1 * lights[i, 1] + t2 * lights[i, 2]
            nl = outward[p, 0] * lights[i, 0] + outward[p, 1] * lights[i, 1] + outward[p, 2] * lights[i, 2]
            sine = max(0.0, 1 - tl * tl) ** 0.5
            body = vis * sine * (0.55 + 0.45 * nl) * 0.36
            for v in range(k):
                h0, h1, h2 = views[v, 0] + lights[i, 0], views[v, 1] + lights[i, 1], views[v, 2] + lights[i, 2]
                length = max(1e-6, (h0 * h0 + h1 * h1 + h2 * h2) ** 0.5)
                th = (t0 * h0 + t1 * h1 + t2 * h2) / length
                a = th - shift[p]
                b = th + 1.6 * shift[p]
                facing = min(1.0, max(0.0, 0.35 + nl))
                lobe1 = max(0.0, 1 - a * a / 0.048) ** 4 * 0.055 * gloss[p] * vis * facing
                lobe2 = max(0.0, 1 - b * b / 0.18) ** 4 * 0.20 * gloss[p] * vis * facing
                for c in range(3):
                    col = albedo[p, c]
                    out[p, v, c] += radiance[i, c] * (col * body + lobe1 + lobe2 * tint[c])
    return out


def shade_fibres(
    studio: Studio,
    albedo: Float[np.ndarray, "n 3"],
    tangents: Float[np.ndarray, "n 3"],
    outward: Float[np.ndarray, "n 3"],
    visibility: Float[np.ndarray, "n d"],
    gloss: float | np.ndarray = 1.0,
    shift: float | np.ndarray = 0.06,
) -> Float[np.ndarray, "n 9 3"]:
    """Display colours of hair as SH.

    Args:
        tangents: unit, root to tip.
        outward: unit, away from the scalp; hair on the far side of the head from a light stays dark.
        gloss: strength of both highlights.
        shift: offset of the highlights along the strand (the tilt of the cuticle), in cosines.
    """
    views, _ = view_directions()
    n = len(albedo)
    gloss_ = np.broadcast_to(np.asarray(gloss, np.float32), (n,))
    shift_ = np.broadcast_to(np.asarray(shift, np.float32), (n,))
    out = np.empty((n, SH_COEFFICIENTS, 3))
    for s in range(0, n, 8192):
        block = slice(s, s + 8192)
        seen = _fibre_sum(
            np.ascontiguousarray(tangents[block], np.float32),
            np.ascontiguousarray(outward[block], np.float32),
            np.ascontiguousarray(visibility[block], np.float32),
            studio.directions.astype(np.float32),
            studio.radiance.astype(np.float32),
            views.astype(np.float32),
            np.ascontiguousarray(albedo[block], np.float32),
            np.ascontiguousarray(gloss_[block]),
            np.ascontiguousarray(shift_[block]),
        )
        out[block] = fit_sh(display(seen))
    return out
