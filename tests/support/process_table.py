"""Queries processes in /proc, or with `ps` where it does not exist (macOS); slim images have no `ps`."""

import subprocess
from pathlib import Path

PROC = Path("/proc")


def runs(pid: int) -> bool:
    """Whether the process exists; a zombie counts as ended."""
    return _state(pid) not in ("", "Z")


def children(parent: int) -> list[int]:
    """The child processes."""
    if not (PROC / "self").exists():
        found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
        return [int(pid) for pid in found.split()]
    stats = {int(path.name): _stat(int(path.name)) for path in PROC.iterdir() if path.name.isdecimal()}
    return sorted(pid for pid, stat in stats.items() if stat[1:2] == [str(parent)])


def _state(pid: int) -> str:
    if (PROC / "self").exists():
        return (_stat(pid) or [""])[0]
    command = ["ps", "-o", "state=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()[:1]


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may contain spaces and brackets: state, parent and so on."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
