"""Options that several commands of weir share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Dir = Annotated[
    Path | None,
    typer.Option("--dir", help="Home of the lake. Default: WEIR_HOME, else the project's .weir."),
]
