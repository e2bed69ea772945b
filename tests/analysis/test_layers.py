from __future__ import annotations

import json
from typing import Any

from analysis.layers import Layer, load_layers
from rc_core.cells import Grid


def test_layers_of_finished_prunings(make_sweep: Any) -> None:
    folder = make_sweep(
        grid=Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42,)),
        missing=["prune-p0.00-s42-dns-S0.500"],
    )
    pruned = "prune-p0.00-s42-dns-S0.900"
    path = folder / pruned / "record.json"
    record = json.loads(path.read_text())
    record["layers"] = [
        {"name": "stem.weight", "shape": [8, 1, 3, 3], "num_weights": 72, "num_kept": 9},
        {"name": "classifier.weight", "shape": [10, 32], "num_weights": 320, "num_kept": 32},
    ]
    path.write_text(json.dumps(record))
    wanted = ["train-p0.00-s42", "prune-p0.00-s42-dns-S0.500", pruned]
    found = load_layers(folder, wanted)
    assert found == {pruned: (Layer("stem.weight", 72, 9), Layer("classifier.weight", 320, 32))}
    assert [layer.density for layer in found[pruned]] == [0.125, 0.1]
    assert load_layers(folder, []) == {}
