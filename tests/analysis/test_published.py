from __future__ import annotations

import subprocess
import sys

from analysis.published import TRAIN_ACCURACY


def test_published_table_has_the_whole_grid() -> None:
    values = [value for by_sparsity in TRAIN_ACCURACY.values() for value in by_sparsity.values()]
    assert (len(values), min(values)) == (25, 0.2077)
    assert TRAIN_ACCURACY[0.5][0.9] == 0.4194


def test_the_numbers_need_no_pandas() -> None:
    script = "import sys, analysis.published; print(sorted({'pandas', 'plotly', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
