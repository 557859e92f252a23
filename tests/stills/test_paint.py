"""What painting several stills adds to painting one."""

from threading import Event

import pytest

from livestyle.nets.fetch import silent_progress
from livestyle.stills.paint import stoppable

pytestmark = pytest.mark.torch


def test_a_download_ends_once_the_run_is_stopped() -> None:
    stop = Event()
    with pytest.raises(KeyboardInterrupt), stoppable(silent_progress, stop)("fetching", 1.0) as watch:
        watch(0.5, "1 MB")
        stop.set()
        watch(0.6, "2 MB")
