"""Dispatches requests to SQS, SNS and the stub's own pages, and keeps the long polls."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from dataclasses import dataclass
from html import escape

from benchmarks.stub_broker import sns, sqs
from benchmarks.stub_broker.broker import Broker, Submission
from benchmarks.stub_broker.errors import RequestRefused
from benchmarks.stub_broker.protocol import HttpAnswer, Reply, Request
from benchmarks.stub_broker.queues import FifoQueue

JSON, XML = "application/x-amz-json-1.0", "text/xml"
# AWS: at most ten messages a receive.
MOST_MESSAGES = 10
TICK_SECONDS = 0.05
"""How often messages whose visibility ran out are looked for."""


@dataclass(slots=True)
class _Poll:
    """A receive that waits for a message."""

    given: sqs.Parameters
    reply: Reply
    timer: asyncio.TimerHandle


class StubService:
    """Serves one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._polls: dict[str, deque[_Poll]] = {}
        self._requests = itertools.count(1)

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or when a long poll has found something."""
        if request.path.startswith("/_stub/"):
            reply(self._own_page(request))
        elif request.target:
            self._sqs(request, reply)
        else:
            reply(self._sns(request))

    async def tick(self) -> None:
        """Return expired messages to their groups, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for name in self._broker.expire(time.monotonic()):
                self._serve_polls(name)

    def _sqs(self, request: Request, reply: Reply) -> None:
        broker = self._broker
        broker.calls[request.target] += 1
        try:
            given = json.loads(request.body or b"{}")
            if request.target == "ReceiveMessage":
                self._receive(given, reply)
                return
            result = sqs.answer(broker, request.target, given, request.host, request.at)
        except RequestRefused as error:
            self._broker.errors[f"{request.target} {error.code}"] += 1
            text = json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": str(error)})
            headers = f"x-amzn-query-error: {error.query_code};Sender\r\n{self._request_id()}"
            reply(HttpAnswer(text.encode(), JSON, error.status, headers))
            return
        except (KeyError, TypeError, ValueError) as error:
            self._broker.errors[f"{request.target} {type(error).__name__}"] += 1
            text = json.dumps({"__type": "com.amazonaws.sqs#InvalidRequest", "message": f"unreadable: {error!r}"})
            reply(HttpAnswer(text.encode(), JSON, 400, self._request_id()))
            return
        reply(self._json(result))
        if self._polls:
            self._serve_polls(str(given.get("QueueUrl", "")).rpartition("/")[2])

    def _sns(self, request: Request) -> HttpAnswer:
        fields = sns.parse(request.body)
        action = fields.get(b"Action", b"").decode("latin-1")
        self._broker.calls[action] += 1
        number = f"stub-{next(self._requests)}"
        try:
            result = sns.answer(self._broker, action, fields, request.at)
        except (RequestRefused, ValueError) as refused:
            error = refused if isinstance(refused, RequestRefused) else RequestRefused("InvalidParameter", str(refused))
            self._broker.errors[f"{action} {error.code}"] += 1
            text = (
                f'<ErrorResponse xmlns="{sns.NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
                f"<Message>{escape(str(error))}</Message></Error><RequestId>{number}</RequestId></ErrorResponse>"
            )
            return HttpAnswer(text.encode(), XML, error.status, f"x-amzn-RequestId: {number}\r\n")
        text = (
            f'<{action}Response xmlns="{sns.NAMESPACE}"><{action}Result>{result}</{action}Result><ResponseMetadata>'
            f"<RequestId>{number}</RequestId></ResponseMetadata></{action}Response>"
        )
        if self._polls:
            for name in list(self._polls):
                self._serve_polls(name)
        return HttpAnswer(text.encode(), XML, 200, f"x-amzn-RequestId: {number}\r\n")

    def _receive(self, given: sqs.Parameters, reply: Reply) -> None:
        name, queue = sqs.find_queue(self._broker, given)
        wait = float(given.get("WaitTimeSeconds") or 0)
        if queue.has_ready or not wait:
            self._deliver(queue, given, reply)
            return
        polls = self._polls.setdefault(name, deque())

        def give_up() -> None:
            polls.remove(poll)
            if not polls:
                self._polls.pop(name, None)
            reply(self._json("{}"))

        poll = _Poll(given, reply, asyncio.get_running_loop().call_later(wait, give_up))
        polls.append(poll)

    def _serve_polls(self, name: str) -> None:
        polls, queue = self._polls.get(name), self._broker.queues.get(name)
        while polls and queue is not None and queue.has_ready:
            poll = polls.popleft()
            poll.timer.cancel()
            if not poll.reply.gone:
                self._deliver(queue, poll.given, poll.reply)
        if polls is not None and not polls:
            self._polls.pop(name, None)

    def _deliver(self, queue: FifoQueue, given: sqs.Parameters, reply: Reply) -> None:
        most = min(MOST_MESSAGES, int(given.get("MaxNumberOfMessages") or 1))
        visibility = given.get("VisibilityTimeout")
        seconds = float(sqs.DEFAULT_VISIBILITY if visibility is None else visibility)
        messages = queue.take(most, seconds, time.monotonic(), int(time.time() * 1000))
        self._broker.entries["ReceiveMessage"] += len(messages)
        reply(self._json(sqs.received(messages, given, self._broker.account)))

    def _own_page(self, request: Request) -> HttpAnswer:
        broker = self._broker
        path, _, query = request.path.partition("?")
        match request.method, path:
            case "GET", "/_stub/report":
                return _page(broker.report())
            case "GET", "/_stub/times":
                return _page(broker.times())
            case "POST", "/_stub/reset":
                broker.reset()
                return _page({})
            case "POST", "/_stub/fill":
                return self._fill(query.removeprefix("queue="), request)
            case _:
                return HttpAnswer(b"see python -m benchmarks.stub_broker --help\n", "text/plain", 404)

    def _fill(self, name: str, request: Request) -> HttpAnswer:
        """A line of JSON for each message: `group`, `id`, `body`, and `attributes` as SQS has them."""
        queue = self._broker.queues.get(name)
        if queue is None:
            return HttpAnswer(b"no such queue\n", "text/plain", 404)
        for line in request.body.splitlines():
            given = json.loads(line)
            attributes = json.dumps(given["attributes"]) if given.get("attributes") else ""
            message = Submission(given["body"].encode(), given["group"], given["id"], attributes)
            self._broker.send(queue, message, request.at)
        self._serve_polls(name)
        return _page({})

    def _json(self, text: str) -> HttpAnswer:
        return HttpAnswer(text.encode(), JSON, 200, self._request_id())

    def _request_id(self) -> str:
        return f"x-amzn-RequestId: stub-{next(self._requests)}\r\n"


def _page(content: object) -> HttpAnswer:
    return HttpAnswer(json.dumps(content).encode(), "application/json")
