"""Kernels that are forked from a process, and so begin with what it has imported, read and computed."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

__all__ = ["forked", "prepare"]


def prepare() -> None:
    """Import what every kernel needs, before any is forked. Neither starts a thread nor opens a socket."""
    import ipykernel.ipkernel
    import ipykernel.kernelapp
    import ipykernel.zmqshell  # noqa: F401
    import ipywidgets  # noqa: F401


class _Process:
    """A child of this process, as a `subprocess.Popen` to those who wait for it or stop it."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._look(os.WNOHANG)

    def wait(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._look(0)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _look(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


@contextmanager
def forked() -> Iterator[type[AsyncKernelManager]]:
    """A class of kernel managers for nbclient whose one kernel is forked now, before this process opens a socket.

    It waits for the notebook; where none comes it ends.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writing)
        _serve(reading)
    os.close(reading)
    process = _Process(pid)

    class Provisioner(LocalProvisioner):
        async def launch_kernel(self, cmd: list[str], **given: Any) -> KernelConnectionInfo:
            where = given.get("cwd") or os.getcwd()
            told = {"arguments": cmd[cmd.index("-f") :], "cwd": where, "environment": dict(given.get("env") or {})}
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(f"{json.dumps(told)}\n")
            self.process, self.pid = process, process.pid
            return self.connection_info

    class Manager(AsyncKernelManager):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given)
            spec = self.kernel_spec
            self.provisioner = Provisioner(kernel_id=self.kernel_id, kernel_spec=spec, parent=self)

    try:
        yield Manager
    finally:
        process.kill()
        process.wait()


def _serve(pipe: int) -> None:
    """Be a kernel, as `python -m ipykernel_launcher` would be one, and end with it."""
    status = 1
    try:
        with os.fdopen(pipe, encoding="utf-8") as lines:
            said = lines.readline()
        if said:
            told = json.loads(said)
            os.environ.update(told["environment"])
            os.chdir(told["cwd"])
            from ipykernel.kernelapp import IPKernelApp

            app = IPKernelApp.instance()
            app.initialize([*told["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])
            app.start()
        status = 0
    except BaseException:
        traceback.print_exc()  # to stderr, for nobody waits for an error here
    finally:
        sys.stdout.flush()
        os._exit(status)
