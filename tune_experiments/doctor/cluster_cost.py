"""Dollars an hour and for the planned sweep, as findings."""

from __future__ import annotations

from collections.abc import Mapping

from tune_experiments.doctor.cluster_file import ClusterFile, is_spot
from tune_experiments.doctor.cluster_price import price_cluster, price_sweep
from tune_experiments.doctor.finding import Finding, not_checked, ok, warning
from tune_experiments.doctor.instance_types import PRICES_AS_OF, PRICES_FOR
from tune_experiments.plan import Plan


def check_cost(
    file: ClusterFile, prices: Mapping[str, float], plan: Plan | None, device_speed: float
) -> list[Finding]:
    """Dollars an hour, and for the planned sweep."""
    if file.provider_type != "aws":
        return [not_checked("cost", f"prices of provider {file.provider_type!r} are not known here")]
    price = price_cluster(file, prices)
    if isinstance(price, list):
        return [
            warning(
                "cost",
                f"the price of {', '.join(price)} is not known",
                f"--price {price[0]}=DOLLARS_PER_HOUR",
            )
        ]
    source = f"list prices on demand, {PRICES_FOR}, {PRICES_AS_OF}, disks included"
    spot = [name for name, node in file.node_types.items() if is_spot(node) and name not in prices]
    if spot:
        source += f"; spot is cheaper, by how much --price {spot[0]}=DOLLARS says"
    findings = [
        ok(
            "cost an hour",
            f"${price.min_dollars_per_hour:.2f} with the head alone, at most "
            f"${price.max_dollars_per_hour:.2f} ({source})",
        )
    ]
    if plan is not None and price.workers and price.num_devices and plan.to_run:
        sweep = price_sweep(price, plan, device_speed, file.written.get("idle_timeout_minutes", 5) / 60)
        findings.append(
            ok(
                "cost of the sweep",
                f"${sweep.min_dollars:,.2f} to ${sweep.max_dollars:,.2f} for {len(plan.to_run)} cells in at "
                f"least {sweep.wall_hours:.1f} h on {price.num_devices} devices, each taken to be "
                f"{device_speed:g} times as fast as that of the estimate ({plan.basis}); "
                "--device-speed changes that",
            )
        )
    return findings
