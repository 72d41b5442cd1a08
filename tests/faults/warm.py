"""A warm worker: a process that has imported everything and forks one child a job.

A kill then costs a fork instead of three seconds of imports. It starts no thread and opens no
connection itself, so its children are as good as fresh processes.
Run as a program it serves; imported it is the client.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "worker.py"


def load_worker() -> ModuleType:
    """Import worker.py, wherever the tests are run from."""
    spec = importlib.util.spec_from_file_location("faults_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["faults_worker"] = module
    spec.loader.exec_module(module)
    return module


class Warm:
    """Starts jobs in children of one warm process, waits for them, says how they ended.

    A job is a function of worker.py with arguments that JSON can hold.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def start(
        self, job: str, *args: Any, env: dict[str, str] | None = None, file_bytes: int = 0
    ) -> int:
        """Start a job and return its process id; file_bytes: no file may grow beyond that."""
        return self._ask(
            {"job": job, "args": args, "env": env or {}, "limit": file_bytes, "log": str(self.log)}
        )

    def wait(self, pid: int) -> int:
        """Wait for a job: 0, 1 after an exception (see the log), or minus the signal."""
        return self._ask({"wait": pid})

    def ended(self, pid: int) -> int | None:
        """Return how a job ended, None while it runs."""
        found = self._ask({"poll": pid})
        return None if found == _RUNNING else found

    def run(self, job: str, *args: Any, **how: Any) -> int:
        """Start a job and wait for it."""
        return self.wait(self.start(job, *args, **how))

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


_RUNNING = 10_000


def _child(question: dict[str, Any], worker: ModuleType) -> None:
    log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(question["env"])
    if question["limit"]:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (question["limit"], question["limit"]))
    getattr(worker, question["job"])(*question["args"])


def _fork(question: dict[str, Any], worker: ModuleType) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _child(question, worker)
        code = 0
    except SystemExit as err:
        code = int(err.code or 0)
    except BaseException:  # noqa: BLE001 - the log is where a test looks
        import traceback

        with contextlib.suppress(OSError):  # under a limit the log may be as full as the disk
            traceback.print_exc()
    finally:
        # whatever happens, never through the end of the interpreter: threads of the job still run
        for stream in (sys.stderr, sys.stdout):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    return 0


def serve() -> None:
    """Answer questions until the client goes away."""
    worker = load_worker()
    done: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "job" in question:
            answer = _fork(question, worker)
        elif "wait" in question:
            pid = question["wait"]
            answer = done.pop(pid) if pid in done else os.waitpid(pid, 0)[1]
            answer = os.waitstatus_to_exitcode(answer)
        else:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else _RUNNING
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
