"""Whether gsplat can be used here, and getting it ready: its CUDA code is compiled at first use."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from avatar.render.protocol import RendererUnavailableError

__all__ = ["load_extension", "unavailable_reason"]

_log = logging.getLogger(__name__)
_EXTENSION = "gsplat_cuda"  # the name under which gsplat compiles itself
_GIB_PER_JOB = 3


def _came_compiled() -> bool:
    return find_spec("gsplat.csrc") is not None


def _is_compiled() -> bool:
    """Whether an earlier run has compiled gsplat's CUDA code."""
    from torch.utils.cpp_extension import _get_build_directory

    root = os.environ.get("TORCH_EXTENSIONS_DIR")
    folder = Path(root) / _EXTENSION if root else Path(_get_build_directory(_EXTENSION, verbose=False))
    return any((folder / f"{_EXTENSION}{suffix}").is_file() for suffix in (".so", ".pyd", ".lib"))


def _nvcc() -> Path | None:
    from torch.utils.cpp_extension import _find_cuda_home

    home = _find_cuda_home()
    found = (home and shutil.which("nvcc", path=str(Path(home) / "bin"))) or shutil.which("nvcc")
    return Path(found) if found else None


def _nvcc_version(nvcc: Path) -> str:
    """Such as "12.8"; empty if nvcc does not say."""
    try:
        result = subprocess.run([nvcc, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r"release (\d+\.\d+)", result.stdout)
    return match[1] if match else ""


def _why_not_compile() -> str | None:
    """Why gsplat's CUDA code cannot be compiled here, in one line; None if it can.

    gsplat asks for the tools at each start, not only at the first: torch lets ninja see that all is up to date.
    """
    cuda = torch.version.cuda or ""
    major = cuda.split(".")[0]
    nvcc = _nvcc()
    if nvcc is None:
        return f"nvcc of CUDA {major} not found: install the CUDA {major} toolkit (torch was built with CUDA {cuda})"
    version = _nvcc_version(nvcc)
    if version.split(".")[0] != major:
        found = f"{nvcc} is of CUDA {version or '?'}"
        return f"{found}, but torch was built with CUDA {cuda}: install the CUDA {major} toolkit"
    compiler = os.environ.get("CXX") or ("cl" if sys.platform == "win32" else "c++")
    if shutil.which(compiler) is None:
        return f"no C++ compiler ({compiler}): install one (Debian, Ubuntu: apt install g++)"
    if not _has_ninja():
        return "ninja not found: pip install ninja"
    return None


def _has_ninja() -> bool:
    from torch.utils.cpp_extension import is_ninja_available

    scripts = str(Path(sys.executable).parent)  # where pip puts it; not on the path of an environment not activated
    if shutil.which("ninja") is None and shutil.which("ninja", path=scripts):
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), scripts])
    return bool(is_ninja_available())


def unavailable_reason() -> str | None:
    """Why gsplat cannot be used here, in one line; None if it should work. Compiles nothing and draws nothing."""
    for package in ("gsplat", "packaging"):  # gsplat needs packaging and does not declare it
        if find_spec(package) is None:
            return f"the package {package} is not installed"
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    if not torch.cuda.is_available():
        return "no NVIDIA GPU that CUDA can use (see nvidia-smi)"
    return None if _came_compiled() else _why_not_compile()


def load_extension(notice: Callable[[str], None] | None = None) -> None:
    """Load gsplat's CUDA code, compiling it if need be: minutes, once on a machine.

    Args:
        notice: called with one line for the user before a compilation.

    Raises:
        RendererUnavailableError: if it cannot be compiled or loaded.
    """
    reason = unavailable_reason()
    if reason is not None:
        raise RendererUnavailableError(reason)
    if not _came_compiled() and not _is_compiled():
        line = "Preparing the GPU: compiling gsplat's CUDA code, once on this machine; this takes a few minutes"
        _log.warning("%s", line)
        if notice is not None:
            notice(line)
    # At each start alike: for another list, ninja would compile everything anew
    major, minor = torch.cuda.get_device_capability()
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", f"{major}.{minor}")
    os.environ.setdefault("MAX_JOBS", str(_compile_jobs()))
    try:
        from gsplat.cuda._backend import _C
    except Exception as error:  # whatever a compiler or a loader can come up with
        _log.warning("gsplat's CUDA code cannot be compiled or loaded", exc_info=True)
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise RendererUnavailableError(f"gsplat's CUDA code cannot be compiled or loaded: {first}") from error
    if _C is None:
        raise RendererUnavailableError("gsplat found no CUDA toolkit to compile its code with")


def _compile_jobs() -> int:
    """Compilers at a time: as many as cores and memory allow."""
    cores = os.cpu_count() or 1
    try:
        memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # not on Windows
        memory_gib = 8.0
    return max(1, min(cores, int(memory_gib / _GIB_PER_JOB), 10))
