"""How a run is asked to stop: by a signal in its own process, or by a file from any other."""

from __future__ import annotations

import time
from typing import Literal

from polythink.storage.archive import Archive

StopKind = Literal["interrupted", "cancelled"]
_REQUEST = "cancel"
LOOK_EVERY_S = 1.0  # seconds between two looks at the file


def request_cancel(archive: Archive, job_id: str) -> None:
    """Ask whoever runs the job to stop sending; what is in flight is still kept."""
    archive.write_text(job_id, _REQUEST, "")


class Control:
    """What one run has been asked. `stop` may be called from a signal handler."""

    def __init__(self, archive: Archive, job_id: str) -> None:
        self._archive, self._job_id = archive, job_id
        self._asked: StopKind | None = None
        self._looked_at = 0.0
        archive.remove(job_id, _REQUEST)  # an old request is not meant for this run

    def stop(self) -> None:
        """Interrupt this run."""
        self._asked = self._asked or "interrupted"

    def asked(self) -> StopKind | None:
        """What was asked so far."""
        if self._asked is None and time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            if self._archive.read_text(self._job_id, _REQUEST) is not None:
                self._asked = "cancelled"
        return self._asked
