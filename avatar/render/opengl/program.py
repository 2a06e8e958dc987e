"""Shader programs whose uniforms are all accounted for."""

from __future__ import annotations

from typing import Any

from shaders import ShaderError, load_shader

__all__ = ["Program"]


class Program:
    """A vertex and a fragment shader from the shader folder."""

    def __init__(self, gl: Any, vertex: str, fragment: str) -> None:
        """
        Raises:
            ShaderError: with the driver's message, if it does not compile.
        """
        self._name = f"{vertex} + {fragment}"
        try:
            self.gl_program = gl.program(vertex_shader=load_shader(vertex), fragment_shader=load_shader(fragment))
        except ShaderError:
            raise
        except Exception as error:  # moderngl.Error derives from Exception
            raise ShaderError(f"{self._name} does not compile here: {error}") from error
        import moderngl

        members = {key: self.gl_program[key] for key in self.gl_program}
        self._uniforms = {key: member for key, member in members.items() if isinstance(member, moderngl.Uniform)}

    def set(self, **values: Any) -> None:
        """Give every uniform a value: none may be missing, none unknown.

        Raises:
            ShaderError: for a uniform without a value, or a value without a uniform.
        """
        missing, unknown = self._uniforms.keys() - values.keys(), values.keys() - self._uniforms.keys()
        if missing or unknown:
            what = [f"no value for uniform {n!r}" for n in sorted(missing)] + [
                f"no uniform {n!r}" for n in sorted(unknown)
            ]
            raise ShaderError(f"{self._name}: {', '.join(what)}")
        for key, value in values.items():
            self._uniforms[key].value = value

    def release(self) -> None:
        self.gl_program.release()
