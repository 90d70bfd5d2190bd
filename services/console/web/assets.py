"""The static files, under addresses that change with their content, so that browsers keep them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parents[1] / "static"
PATH = "/static"
FOREVER = "public, max-age=31536000, immutable"
BRIEFLY = "no-cache"


class Assets:
    """The address of every static file."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._versions = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            for path in folder.rglob("*")
            if path.is_file()
        }

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError if there is none."""
        return f"{PATH}/{name}?v={self._versions[name]}"


class CachedFiles(StaticFiles):
    """Serves the files; browsers keep those with a version in their address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or the framework's error."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FOREVER if b"v=" in scope.get("query_string", b"") else BRIEFLY
        return response
