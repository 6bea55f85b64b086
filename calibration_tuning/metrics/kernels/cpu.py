"""rows.cpp through the machine's own C++ compiler, which torch.compile would need as well.

Compiled when first used, in about a second, for the processor it then runs on, and not kept: nothing on disk can be of
another version or another machine. Without a compiler there is no kernel.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
SOURCE = Path(__file__).with_name("rows.cpp")
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-Wno-unknown-pragmas")
VECTORS = ("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffinite-math-only")
"""Without these the loops stay scalar. Not -ffast-math, which changes how the whole process rounds."""
OPENMP = "-fopenmp"
"""Where torch brings the library that this links to, the loader takes torch's, and threads with it: others of our own
would wait for those, which spin for a while after every operation."""
CHOICES = (("-march=native", OPENMP), ("-mcpu=native", OPENMP), ("-march=native",), ("-mcpu=native",), ())
"""As compilers and processors differ, the first that works is taken."""
ENTRIES = {torch.float32: "read_float32", torch.bfloat16: "read_bfloat16"}


@functools.cache
def library() -> Any | None:
    """The compiled kernel; None where there is no compiler, or none that takes it."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built = str(Path(folder) / "rows.so")
        for choice in CHOICES:
            command = [compiler, *FLAGS, *VECTORS, *choice, str(SOURCE), "-o", built]
            try:
                if subprocess.run(command, capture_output=True).returncode == 0:
                    return ctypes.CDLL(built)
            except OSError:
                continue
    return None


def read_rows(logits: Tensor, log_least: float, most: int, log_edges: Array, into: tuple[Tensor, ...]) -> bool:
    """Fill `into` for logits [N, K]; False where this kernel cannot."""
    kernels = library() if logits.dtype in ENTRIES else None
    if kernels is None or logits.stride(1) != 1:
        return False
    entry = getattr(kernels, ENTRIES[logits.dtype])
    entry.restype = None
    sizes = [ctypes.c_int64(size) for size in (len(logits), logits.shape[1], logits.stride(0))]
    outputs = [ctypes.c_void_p(tensor.data_ptr()) for tensor in into]
    edges = np.ascontiguousarray(log_edges, dtype=np.float64)
    limits = ctypes.c_double(log_least), ctypes.c_int64(most)
    cells = edges.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(edges))
    threads = ctypes.c_int(torch.get_num_threads())
    entry(ctypes.c_void_p(logits.data_ptr()), *sizes, *limits, *cells, threads, *outputs)
    return True
