"""`reread`: kept samples read and graded by another rule."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from polythink.cli.console import stdout_console
from polythink.cli.exits import reported_errors
from polythink.cli.options import ArchiveOption, JobFile, JsonOption, open_archive
from polythink.explorer.data import read_results
from polythink.explorer.labels import clean
from polythink.explorer.terminal import summary
from polythink.jobs.load import load_job
from polythink.jobs.rereading import reread as read_anew


def reread(job_file: JobFile, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Read and grade a job's samples as its file now says, and select again; nothing is sent."""
    with reported_errors():
        loaded = load_job(job_file)
        where = open_archive(archive, loaded.archive)
        done = read_anew(where, loaded)
        for note in done.notes:
            print(f"polythink: {clean(note)}", file=sys.stderr)
        if as_json:
            print(json.dumps(asdict(done)))
            return
        print(f"{done.samples:,} samples of {done.job_id} read anew; {done.changed:,} of them came out otherwise")
        if done.samples:
            stdout_console().print(summary(read_results(where, done.job_id)))
