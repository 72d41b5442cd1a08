"""weir refresh: one turn of all sensors and what they ask for, in this process."""

from __future__ import annotations

from pathlib import Path

from lake.settings import load_settings
from orchestration.commands.output import console, print_json
from orchestration.settings import exported


def run(home: Path | None, *, as_json: bool) -> int:
    """Ingest and refresh until nothing is left; 1 when a run failed."""
    settings = load_settings(home=home)
    with exported(settings):
        from orchestration.build import build_defs
        from orchestration.local import RunOutcome, drain, local_instance, quiet
        from orchestration.resources import Clock, Lake

        resources = {"lake": Lake(home=str(settings.home)), "clock": Clock()}
        out = console(stderr=True)

        def show(done: RunOutcome) -> None:
            word = "done" if done.is_success else "FAILED"
            out.print(f"{word}  {done.job_name} {done.partitions}")

        with quiet(settings.home), local_instance(settings.home) as instance:
            outcomes = drain(build_defs(resources), instance, resources, show)
    if as_json:
        print_json({"runs": [vars(o) for o in outcomes]})
    elif not outcomes:
        console().print("nothing to do")
    return 0 if all(o.is_success for o in outcomes) else 1
