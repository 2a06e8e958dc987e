"""Gaussians drawn with OpenGL, in whatever context is current."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt32

from avatar.camera import Camera
from avatar.flame.params import FlameParams
from avatar.render.cpu.gaussians import PackedGaussians
from avatar.render.expression import ExpressedColors
from avatar.render.opengl.ordering import TrailingOrder
from avatar.render.opengl.program import Program
from avatar.render.posing import FastHead
from avatar.render.protocol import Background
from avatar.rig import Avatar

__all__ = ["SplatPainter"]

_ROW = 2048  # texels a row of a texture; the shaders know it too
_FIXED_TEXELS = 4


def _texels(values: Float32[np.ndarray, "n 4"]) -> tuple[tuple[int, int], np.ndarray]:
    """Texels in rows: the size of the texture, and its data."""
    rows = max(1, -(-len(values) // _ROW))
    padded = np.zeros((rows * _ROW, 4), np.float32)
    padded[: len(values)] = values
    return (_ROW, rows), padded


class _Uploaded:
    """Gaussians and room for their frames, on the GPU."""

    def __init__(
        self,
        gl: Any,
        program: Program,
        corners: Any,
        gaussians: PackedGaussians,
        n_frames: int,
        expressive: bool = False,
    ) -> None:
        """
        Args:
            expressive: whether colors and opacities change with the expression.
        """
        n, sh_floats = gaussians.sh.shape
        self.sh_count = sh_floats // 3
        self.expressive = expressive
        self.texels_each = _FIXED_TEXELS + self.sh_count
        packed = np.zeros((n, self.texels_each, 4), np.float32)
        packed[:, :_FIXED_TEXELS] = gaussians.local.reshape(n, _FIXED_TEXELS, 4)
        packed[:, 3, 2] = gaussians.triangles
        packed[:, _FIXED_TEXELS:, :3] = gaussians.sh.reshape(n, self.sh_count, 3)
        size, data = _texels(packed.reshape(-1, 4))
        self.gaussians = gl.texture(size, 4, data.tobytes(), dtype="f4")
        self._frames_data = np.zeros((max(1, -(-3 * n_frames // _ROW)) * _ROW, 4), np.float32)
        self.frames = gl.texture((_ROW, len(self._frames_data) // _ROW), 4, dtype="f4")
        self._colors_data = np.zeros((-(-n // _ROW) * _ROW if expressive else 1, 4), np.float32)
        self.colors = gl.texture((_ROW, len(self._colors_data) // _ROW) if expressive else (1, 1), 4, dtype="f4")
        self._order = gl.buffer(reserve=max(4, 4 * n), dynamic=True)
        self._order_held: np.ndarray | None = None
        self.vertices = gl.vertex_array(program.gl_program, [(corners, "2f", "corner"), (self._order, "1u/i", "index")])

    def update(self, frames: Float32[np.ndarray, "f 12"], order: UInt32[np.ndarray, " m"]) -> None:
        """All that a picture uploads: the mesh, and the order where it is not there already."""
        self._frames_data[: 3 * len(frames)] = frames.reshape(-1, 4)
        self.frames.write(self._frames_data)
        if len(order) and order is not self._order_held:
            self._order.orphan()  # the GPU may still be reading the last one: do not wait for it
            self._order.write(order)
            self._order_held = order

    def recolor(self, plain: Float32[np.ndarray, " n"], colors: ExpressedColors) -> None:
        """Upload what an expression does: tints, and log2 of the opacities (`plain` where those do not change)."""
        n = len(plain)
        self._colors_data[:n, :3] = colors.tints
        self._colors_data[:n, 3] = colors.log2_opacities if colors.fades else plain
        self.colors.write(self._colors_data)

    def release(self) -> None:
        for held in (self.vertices, self._order, self.frames, self.colors, self.gaussians):
            held.release()


@dataclass(frozen=True, eq=False)
class _Prepared:
    head: FastHead
    gaussians: PackedGaussians
    colors: ExpressedColors | None
    uploaded: _Uploaded
    on_drop: weakref.finalize


class SplatPainter:
    """Draws into a float picture, then over a background into a framebuffer.

    The picture has 32 bits a channel: where hundreds of faint Gaussians lie on top of one another, 16 bits stay under
    55 dB.

    Everything happens in the context that is current when it is called, which must always be the same one.
    """

    def __init__(self, gl: Any) -> None:
        self._gl = gl
        self._splat = Program(gl, "splat.vert", "splat.frag")
        self._resolve = Program(gl, "resolve.vert", "resolve.frag")
        self._corners = gl.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32).tobytes())
        self._whole = gl.vertex_array(self._resolve.gl_program, [])
        self._order = TrailingOrder()
        self._avatars: weakref.WeakKeyDictionary[Avatar, _Prepared] = weakref.WeakKeyDictionary()
        self._dropped: list[_Uploaded] = []
        self._texture: Any = None
        self._accumulated: Any = None
        self.stages_ms: dict[str, float] = {}

    def paint(
        self,
        target: Any,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background,
        max_gaussians: int | None,
        *,
        offset: tuple[int, int] = (0, 0),
        flip: bool = False,
        bgra: bool = False,
    ) -> None:
        """Pose an avatar and draw it into a framebuffer.

        Args:
            target: moderngl framebuffer.
            offset: where in it the picture's corner goes, pixels.
            flip: put the picture's first row at the top of the framebuffer rather than the bottom.
            bgra: write blue first.
        """
        stamps = [time.perf_counter()]
        target.use()  # so that our own framebuffer is not bound if it is to be replaced
        prepared = self._prepare(avatar)
        frames = prepared.head.frames(params, camera.viewmat[:3])
        stamps.append(time.perf_counter())
        total = len(prepared.gaussians)
        count = total if max_gaussians is None else max(0, min(max_gaussians, total))
        order = self._order(prepared.gaussians, count, frames)
        stamps.append(time.perf_counter())
        prepared.uploaded.update(frames, order)
        if prepared.colors is not None and prepared.colors.express(params, total):
            prepared.uploaded.recolor(prepared.gaussians.local[:, 12], prepared.colors)
        self._accumulate(prepared.uploaded, len(order), camera)
        self._finish(target, camera, background, offset, flip, bgra)
        stamps.append(time.perf_counter())
        self.stages_ms = dict(zip(("posing", "sort", "raster"), (np.diff(stamps) * 1e3).tolist(), strict=True))

    def render_cloud(self, gaussians: PackedGaussians, camera: Camera) -> Float32[np.ndarray, "h w 4"]:
        """Draw Gaussians that are bound to the world alone, over nothing."""
        frames = np.ascontiguousarray(camera.viewmat[:3]).reshape(1, 12)
        uploaded = _Uploaded(self._gl, self._splat, self._corners, gaussians, 1)
        try:
            order = self._order(gaussians, len(gaussians), frames)
            uploaded.update(frames, order)
            self._accumulate(uploaded, len(order), camera)
            raw = self._accumulated.read(components=4, dtype="f4")
        finally:
            uploaded.release()
        return np.frombuffer(raw, np.float32).reshape(camera.height, camera.width, 4).astype(np.float32)

    def _accumulate(self, uploaded: _Uploaded, count: int, camera: Camera) -> None:
        """Blend Gaussians back to front into the float picture, over nothing."""
        import moderngl

        gl = self._gl
        size = (camera.width, camera.height)
        if self._texture is None or self._texture.size != size:
            self._release_picture()
            self._texture = gl.texture(size, 4, dtype="f4")
            self._accumulated = gl.framebuffer([self._texture])
        self._accumulated.use()
        self._accumulated.viewport = (0, 0, *size)
        self._accumulated.clear(0.0, 0.0, 0.0, 0.0)
        if count == 0:
            return
        uploaded.gaussians.use(0)
        uploaded.frames.use(1)
        uploaded.colors.use(2)
        K = camera.K.astype(float)
        self._splat.set(
            gaussians=0,
            frames=1,
            colors=2,
            expressive=int(uploaded.expressive),
            view=tuple(camera.viewmat[:3, :3].astype(float).ravel()),  # column by column: the transpose, the inverse
            focal=(K[0, 0], K[1, 1]),
            center=(K[0, 2], K[1, 2]),
            image_size=size,
            texels_each=uploaded.texels_each,
            sh_count=uploaded.sh_count,
        )
        gl.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        gl.enable(moderngl.BLEND)
        gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        uploaded.vertices.render(moderngl.TRIANGLE_STRIP, vertices=4, instances=count)
        gl.disable(moderngl.BLEND)

    def _finish(
        self, target: Any, camera: Camera, background: Background, offset: tuple[int, int], flip: bool, bgra: bool
    ) -> None:
        import moderngl

        target.use()
        target.viewport = (*offset, camera.width, camera.height)
        self._texture.use(0)
        self._resolve.set(
            accumulated=0,
            background=(0.0, 0.0, 0.0, 0.0) if background is None else (*background, 1.0),
            offset=offset,
            flip_height=camera.height if flip else 0,
            swap=int(bgra),
        )
        self._whole.render(moderngl.TRIANGLES, vertices=3)

    def _prepare(self, avatar: Avatar) -> _Prepared:
        while self._dropped:
            self._dropped.pop().release()
        prepared = self._avatars.get(avatar)
        if prepared is None:
            offset = None if avatar.static_offset is None else avatar.static_offset.cpu().numpy()
            gaussians = PackedGaussians.from_bound(avatar.gaussians)
            n_faces = int(avatar.head.faces.shape[0])
            colors = None if avatar.appearance is None else ExpressedColors(avatar)
            if colors is not None and colors.fades:  # none may be left out of the order for being faint at rest
                np.maximum(gaussians.local[:, 13], 0, out=gaussians.local[:, 13])
            uploaded = _Uploaded(self._gl, self._splat, self._corners, gaussians, n_faces, colors is not None)
            # OpenGL objects may only be deleted with the context current: note them, delete at the next picture
            on_drop = weakref.finalize(avatar, self._dropped.append, uploaded)
            on_drop.atexit = False
            prepared = _Prepared(FastHead(avatar.head, offset), gaussians, colors, uploaded, on_drop)
            self._avatars[avatar] = prepared
        return prepared

    def _release_picture(self) -> None:
        if self._texture is not None:
            self._accumulated.release()
            self._texture.release()
        self._texture = self._accumulated = None

    def release(self) -> None:
        """Give back everything on the GPU, and end the sorting thread."""
        self._order.close()
        for prepared in self._avatars.values():
            if prepared.on_drop.detach() is not None:  # else it is among the dropped
                prepared.uploaded.release()
        while self._dropped:
            self._dropped.pop().release()
        self._avatars.clear()
        self._release_picture()
        for held in (self._whole, self._corners, self._splat, self._resolve):
            held.release()
