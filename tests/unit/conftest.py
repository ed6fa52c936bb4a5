"""Every unit test finds a machine without weights, so that one that needs some fails everywhere and not only on the next machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

NOWHERE = "http://127.0.0.1:9"
"""A proxy at which nobody answers; servers of the tests are on this machine and are asked without it."""


@pytest.fixture(scope="package", autouse=True)
def _no_weights(_own_project: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty store, no mirror folder, and no way out to fetch from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRONTALBENCH_STORE", str(tmp_path_factory.mktemp("no_weights")))
        patch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, NOWHERE)
            patch.setenv(name.upper(), NOWHERE)
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get(name, "")])))
        yield
