"""The shaders, as files, and how they are read.

A file starts with a header that lists its inputs, outputs and colour space. `#include "name.glsl"` takes in another
file of this folder.
"""

from __future__ import annotations

import re
from importlib import resources

__all__ = ["ShaderError", "declared_uniforms", "load_shader"]

_INCLUDE = re.compile(r'^[ \t]*#include\s+"([^"]*)"[ \t]*$', re.MULTILINE)
_ANY_INCLUDE = re.compile(r"^[ \t]*#include\b.*$", re.MULTILINE)
_UNIFORM = re.compile(r"^\s*uniform\s+\w+\s+(\w+)\s*(?:\[[^\]]*\])?\s*;", re.MULTILINE)


class ShaderError(RuntimeError):
    """A shader that cannot be put together, compiled or fed: says which one and why."""


def load_shader(name: str) -> str:
    """The source of a shader, includes taken in, each file once.

    Raises:
        ShaderError: for a file that is not there, or an `#include` that cannot be resolved.
    """
    return _load(name, [], set())


def _load(name: str, parents: list[str], seen: set[str]) -> str:
    where = f" (included from {' < '.join(reversed(parents))})" if parents else ""
    if name in parents:
        raise ShaderError(f"shader {name!r} includes itself{where}")
    file = resources.files(__name__) / name
    if "/" in name or "\\" in name or not file.is_file():
        raise ShaderError(f"there is no shader {name!r}{where}")
    if name in seen:
        return ""
    seen.add(name)
    source = file.read_text(encoding="utf-8")
    resolved = _INCLUDE.sub(lambda match: _load(match[1], [*parents, name], seen), source)
    left = _ANY_INCLUDE.search(resolved)
    if left:
        raise ShaderError(f'shader {name!r}: cannot resolve {left[0].strip()!r}: write #include "file.glsl"')
    return resolved


def declared_uniforms(source: str) -> set[str]:
    """The names of the uniforms that a shader's source declares."""
    return set(_UNIFORM.findall(source))
