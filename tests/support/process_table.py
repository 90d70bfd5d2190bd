"""What the system says of processes: from /proc, or by `ps` where there is none (macOS); slim images have no `ps`."""

import subprocess
from pathlib import Path

PROC = Path("/proc")


def runs(pid: int) -> bool:
    """Whether there is such a process; a zombie whose new parent has not looked yet is gone."""
    return _state(pid) not in ("", "Z")


def children(parent: int) -> list[int]:
    """The processes that it has started."""
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
    """State, parent and so on: what stands behind the name, which may have blanks and brackets in it."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
