"""What torch can compute on, asked in a process of its own.

Importing torch takes seconds, and a broken driver can bring the process down.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tune_experiments.doctor.finding import Finding, ok, problem, warning

TIMEOUT_SECONDS = 120

# A multiplication on each device shows that the driver does what it says.
_SCRIPT = """
import json, torch
def multiply(device):
    ones = torch.ones(64, 64, device=device)
    return float((ones @ ones).sum())
gpus = []
for index in range(torch.cuda.device_count()):
    properties = torch.cuda.get_device_properties(index)
    gpus.append({"name": properties.name, "memory_bytes": properties.total_memory, "sum": multiply(index)})
print(json.dumps({"cuda": torch.version.cuda, "gpus": gpus, "sum": multiply("cpu")}))
"""
_SUM = 64.0**3


def ask_torch() -> dict[str, Any]:
    """CUDA version that torch was built for (None: without), GPUs, and a product on each device.

    Raises:
        OSError: the process failed or did not end; the message has its last line.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"torch did not answer within {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        last_line = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise OSError(f"torch cannot compute: {last_line}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def check_devices() -> list[Finding]:
    """GPUs with their memory, or that there are none."""
    try:
        answer = ask_torch()
    except OSError as error:
        return [problem("devices", str(error), "reinstall torch: pip install -c constraints.txt -e '.[all]'")]
    return judge_devices(answer)


def judge_devices(answer: dict[str, Any]) -> list[Finding]:
    """The findings that an answer of `ask_torch` gives."""
    findings = [
        ok(f"GPU {index}", f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.1f} GiB")
        if gpu["sum"] == _SUM
        else problem(f"GPU {index}", f"{gpu['name']} multiplies wrongly", "update the driver; run nvidia-smi")
        for index, gpu in enumerate(answer["gpus"])
    ]
    if answer["sum"] != _SUM:
        findings.append(problem("CPU", "torch multiplies wrongly", "reinstall torch"))
    if not findings:
        reason = (
            f"torch is built for CUDA {answer['cuda']}" if answer["cuda"] else "torch is built without CUDA"
        )
        findings.append(
            warning(
                "GPU",
                f"none found ({reason}); small recipes run well on CPUs",
                "for a GPU: nvidia-smi must show it, with a driver for that CUDA",
            )
        )
    return findings
