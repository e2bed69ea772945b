"""What a process needs before it computes: threads, repeatable kernels, an allocator that keeps memory."""

from __future__ import annotations

import ctypes

import torch

# glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD_BYTES = 32 * 2**20  # glibc takes no larger one


def prepare_process(threads: int, *, keep_memory: bool = True) -> None:
    """Set the thread count, choose repeatable kernels, and keep freed memory.

    Args:
        threads: CPU threads of torch; results are bit-identical only at equal counts.
        keep_memory: see `keep_freed_memory`.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True  # bit-identical resumes, at some cost in speed
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32; torch's default is TF32 in convolutions
    if keep_memory:
        keep_freed_memory()


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of giving it back to the kernel; whether that could be said.

    Every step allocates the same activations. By default glibc maps large ones anew each time, and the page
    faults took a tenth to a fifth of a step of a stack (docs/performance.md). Changes no bit.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    )
