"""What all tests share: no hub, one thread a process, and a real browser for the built pages."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything imports torch or transformers.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share the cores

import pytest  # noqa: E402

#: Marks by folder or file below tests/: `pytest -m "not slow"` leaves out what takes more than half a minute a file,
#: `-m "not models"` what needs torch. Tests that ask for `browser` are marked so.
MARKS = {
    "models": {
        "detectors", "generators", "mini", "precision", "runs", "cli/test_malformed.py", "cli/test_offline.py",
        "test_add_one.py", "core/test_catalogues.py", "core/test_device.py", "analysis/test_baseline.py",
        "lab/test_browser.py", "lab/test_graphs.py", "lab/test_rules.py", "lab/test_shortening.py", "lab/test_web.py",
        "test_examples.py", "test_reproduce.py", "test_wheel.py",
    },
    "slow": {
        "claims", "cli/test_malformed.py", "cli/test_offline.py", "detectors/test_detect.py", "mini", "paper", "runs",
        "analysis/test_statistics.py", "lab/test_browser.py", "lab/test_graphs.py", "lab/test_web.py",
        "precision/test_precision.py", "results/test_importing.py", "test_examples.py", "test_reproduce.py",
        "test_wheel.py",
    },
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its place; the slow come first, or one process would wait for them at the end."""
    top = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(top)
        for mark, places in MARKS.items():
            if places & {place.parts[0], place.as_posix()}:
                item.add_marker(mark)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, driven by playwright; the variable CHROMIUM names one that is not on the PATH."""
    from playwright.sync_api import sync_playwright

    from helpers.core.errors import Failure
    from helpers.paper.printing import chromium

    try:
        found = chromium()
    except Failure as error:
        pytest.fail(str(error), pytrace=False)
    with sync_playwright() as driver:
        # The pages are this project's own, and containers seldom allow Chromium's sandbox.
        launched = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()
