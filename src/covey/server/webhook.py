"""Posts alerts to the address that the operator configured, and to no other: redirects are not followed, proxies not asked.

In a thread of its own with a short queue, so that an address that hangs holds up nothing. Knows nothing of what it posts.

    webhook = Webhook("https://example.org/hook"); webhook.post({"state": "raised", ...}); webhook.close()
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("covey.server")

_TIMEOUT = 5.0
_PAUSES = (1.0, 5.0, 0.0)  # seconds after each failed try
_MOST_WAITING = 64


class _Here(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        """None: the answer stands as it is, and is an error."""
        return None


class Webhook:
    """pauses: seconds after each failed try; there are as many tries."""

    def __init__(self, url: str, pauses: tuple[float, ...] = _PAUSES) -> None:
        self._url, self._pauses = url, pauses
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Here)
        self._queue: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="covey-webhook", daemon=True)
        self._thread.start()

    def post(self, news: Mapping[str, Any]) -> None:
        """Returns at once. What comes while many wait already is left out, and the log says so."""
        try:
            self._queue.put_nowait(news)
        except queue.Full:
            log.warning("the alert webhook does not keep up: an alert was not posted")

    def close(self) -> None:
        """No further tries. A request that is under way is not waited for."""
        self._closed.set()
        try:
            self._queue.put_nowait(None)
        except queue.Full:  # then there is something to wake up for anyway
            return

    def _run(self) -> None:
        while (news := self._queue.get()) is not None and not self._closed.is_set():
            self._deliver(json.dumps(news).encode())

    def _deliver(self, body: bytes) -> None:
        for pause in self._pauses:
            try:
                request = urllib.request.Request(self._url, body, {"content-type": "application/json"}, method="POST")
                with self._opener.open(request, timeout=_TIMEOUT):
                    return
            except (OSError, ValueError, urllib.error.HTTPError) as error:
                why = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
            except Exception as error:  # such as http.client's: the thread must live on
                why = type(error).__name__
            if self._closed.wait(pause):
                return
        log.warning("an alert could not be posted to the webhook: %s", why)  # the address may hold a secret
