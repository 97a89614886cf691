"""The benchmarks at their smallest size: that they run, not what they measure."""

import subprocess

import pytest

from conftest import ROOT


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["overhead", "soak", "share", "tail"])
def test_it_runs(name):
    done = subprocess.run([ROOT / "bench" / name, "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=590)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
