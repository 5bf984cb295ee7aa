"""``python -m benchmarks.watch.replay FOLDER``: plays a recorded watch to whoever asks, as fast as it is read.

An empty list at the version before the first event, then every line of the recording: both ways of watching get the
same bytes over the same socket. Prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from aiohttp import web

_CHUNK_BYTES = 1 << 16
_LONGEST_SECONDS = 600
_CORE = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "v1",
    "resources": [
        {
            "name": name,
            "singularName": kind.lower(),
            "namespaced": kind == "Pod",
            "kind": kind,
            "verbs": ["get", "list", "patch", "watch"],
        }
        for name, kind in (("pods", "Pod"), ("namespaces", "Namespace"))
    ],
}


def an_application(folder: Path) -> web.Application:
    lines = (folder / "lines").read_bytes()
    began_at = (folder / "began").read_text()

    async def pods(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            metadata = {"resourceVersion": began_at}
            return web.json_response(
                {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": []}
            )
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(lines), _CHUNK_BYTES):
                await answer.write(lines[start : start + _CHUNK_BYTES])
            # A watch stays open after its last event; the reader goes when it has seen enough.
            await asyncio.sleep(_LONGEST_SECONDS)
        return answer

    async def answer_with(document: dict[str, object]) -> web.Response:
        return web.json_response(document)

    application = web.Application()
    application.router.add_get("/api/v1/pods", pods)
    for path, document in (
        ("/api", {"kind": "APIVersions", "versions": ["v1"]}),
        ("/apis", {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        ("/api/v1", _CORE),
        ("/version", {"major": "1", "minor": "37"}),
    ):
        application.router.add_get(path, lambda _request, document=document: answer_with(document))
    return application


def main() -> None:
    web.run_app(
        an_application(Path(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        print=None,
        handle_signals=True,
    )


if __name__ == "__main__":
    main()
