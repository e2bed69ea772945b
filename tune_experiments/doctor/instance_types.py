"""EC2 instance types that suit a sweep, and what they cost.

Sizes are those that EC2 itself tells (DescribeInstanceTypes). Prices are AWS's public list prices in dollars
an hour, on demand, Linux, us-west-2, as they were known on the date below; nobody was asked when this was
written, and they change. `--price` overrides them.
"""

from __future__ import annotations

from typing import NamedTuple

PRICES_AS_OF = "2025-06"
PRICES_FOR = "us-west-2"

DISK_DOLLARS_PER_GB_HOUR = 0.08 / 730
"""gp3, same date; 730 hours a month."""


class InstanceType(NamedTuple):
    """Size and price of an instance type.

    Attributes:
        num_cpus: virtual CPUs.
        memory_gib: main memory.
        num_gpus: GPUs; 0 = none.
        gpu: name of one.
        gpu_memory_gb: memory of one, nominal.
        dollars_per_hour: on demand.
    """

    num_cpus: int
    memory_gib: int
    num_gpus: int
    gpu: str
    gpu_memory_gb: int
    dollars_per_hour: float


INSTANCE_TYPES = {
    "m5.large": InstanceType(2, 8, 0, "", 0, 0.096),
    "m6i.large": InstanceType(2, 8, 0, "", 0, 0.096),
    "m6i.xlarge": InstanceType(4, 16, 0, "", 0, 0.192),
    "m6i.2xlarge": InstanceType(8, 32, 0, "", 0, 0.384),
    "m7i.xlarge": InstanceType(4, 16, 0, "", 0, 0.2016),
    "c6i.2xlarge": InstanceType(8, 16, 0, "", 0, 0.34),
    "g4dn.xlarge": InstanceType(4, 16, 1, "T4", 16, 0.526),
    "g4dn.2xlarge": InstanceType(8, 32, 1, "T4", 16, 0.752),
    "g5.xlarge": InstanceType(4, 16, 1, "A10G", 24, 1.006),
    "g5.2xlarge": InstanceType(8, 32, 1, "A10G", 24, 1.212),
    "g5.4xlarge": InstanceType(16, 64, 1, "A10G", 24, 1.624),
    "g5.12xlarge": InstanceType(48, 192, 4, "A10G", 24, 5.672),
    "g5.48xlarge": InstanceType(192, 768, 8, "A10G", 24, 16.288),
    "g6.xlarge": InstanceType(4, 16, 1, "L4", 24, 0.8048),
    "g6.2xlarge": InstanceType(8, 32, 1, "L4", 24, 0.9776),
    "g6.4xlarge": InstanceType(16, 64, 1, "L4", 24, 1.3232),
    "g6.12xlarge": InstanceType(48, 192, 4, "L4", 24, 4.6016),
    "g6.48xlarge": InstanceType(192, 768, 8, "L4", 24, 13.3504),
    "g6e.xlarge": InstanceType(4, 32, 1, "L40S", 48, 1.861),
    "g6e.2xlarge": InstanceType(8, 64, 1, "L40S", 48, 2.24208),
    "g6e.4xlarge": InstanceType(16, 128, 1, "L40S", 48, 3.00424),
    "p4d.24xlarge": InstanceType(96, 1152, 8, "A100", 40, 21.957642),
    "p5.4xlarge": InstanceType(16, 256, 1, "H100", 80, 6.88),
    "p5.48xlarge": InstanceType(192, 2048, 8, "H100", 80, 55.04),
}
