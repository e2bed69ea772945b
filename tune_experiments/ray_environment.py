"""Environment variables that Ray reads when it is imported; so this module imports nothing of Ray."""

from __future__ import annotations

import os
import secrets


def prepare(address: str | None) -> None:
    """Set what the user has not set. Call before the first `import ray`.

    Args:
        address: of the cluster that will be joined; None = Ray will be started on this machine.
    """
    defaults = {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the default loggers import torch into the driver
        "TUNE_GLOBAL_CHECKPOINT_S": "60",  # Tune's own snapshots are never restored: write few
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # interrupts.py handles signals
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if address is None:
        # What every trial needs first, seconds of imports: workers begin them as they start.
        defaults |= {"RAY_preload_python_modules": "torch,ray.tune"}
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        # Ray's ports listen on every interface, so even a local Ray wants a token (CVE-2023-48022). A fresh
        # one in the environment leaves no file behind, where Ray by itself would write ~/.ray/auth_token.
        defaults |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
