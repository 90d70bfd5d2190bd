"""Deploys the topology, or deletes it: the same way to LocalStack and to AWS."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from event_trio.broker.aws import BROKER_FAULTS, Aws, cloudformation, ensure_usable, error_code
from event_trio.errors import ConfigurationError, EventTrioError
from event_trio.outbox.limits import LARGEST_BYTES, SMALLEST_BYTES
from event_trio.settings import forget_empty_variables
from event_trio.urls import http_url, is_region
from infra.manifest import BROKER, Template, TemplateKind, load
from infra.stacks import LOCAL, REMOTE, StackChange, Stacks

T = TypeVar("T")

PREFIX = re.compile(r"[A-Za-z0-9-]{0,30}")
BYTES = re.compile(r"[0-9]{1,9}")
THROUGHPUTS = ("high", "standard")

# What a stack is told; whatever is not given anew stays as it is.
Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StackProgress:
    """A template whose stack is as it should be (or gone), and how it came to be so."""

    template: str
    stack: str
    change: StackChange
    seconds: float
    outputs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stack}: {self.change} ({self.seconds:.1f} s)"


OnProgress = Callable[[StackProgress], None]


def _ignore(progress: StackProgress) -> None:
    """Nobody wants to know."""


async def deploy(
    aws: Aws,
    *,
    prefix: str = "",
    throughput: str | None = None,
    encryption_key: str | None = None,
    alarm_topic: str | None = None,
    message_bytes: int | None = None,
    access: bool = False,
    templates: Sequence[Path] | None = None,
    on_progress: OnProgress = _ignore,
) -> dict[str, dict[str, str]]:
    """Bring every stack to the state of its template; nothing happens to one that is in it already.

    `throughput` ("high" or "standard"), `encryption_key` and `alarm_topic` (ARNs, or "" for none) and `message_bytes`
    (1 KiB to 1 MiB) stay what they are for a topic and all that subscribes to it, unless given; a topic that is new has
    "high", 256 KiB and neither of the others.
    `access` deploys IAM policies too.
    Returns the outputs of each stack by its template's name. Raises ConfigurationError or StackFailed.
    """
    found = load(templates, kinds=frozenset(TemplateKind) if access else BROKER)
    given = {
        "Throughput": throughput,
        "EncryptionKey": encryption_key,
        "AlarmTopic": alarm_topic,
        "MessageBytes": None if message_bytes is None else str(message_bytes),
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    async with connect(aws) as stacks:
        chosen = {
            template.topic: await _settings(stacks, stack_name(prefix, template.name), wanted)
            for template in found
            if template.kind is TemplateKind.TOPIC
        }

        async def apply(template: Template) -> StackProgress:
            values = {"Prefix": prefix, **chosen[template.topic]}
            name, started = stack_name(prefix, template.name), time.monotonic()
            change = await stacks.apply(
                name,
                template.body,
                {key: value for key, value in values.items() if key in template.parameters},
                {
                    "application": "event-trio",
                    **({"topology-prefix": prefix} if prefix else {}),
                },  # no empty tags on AWS
            )
            stack = await stacks.find(name)
            outputs = dict(stack.outputs) if stack else {}
            return StackProgress(template.name, name, change, time.monotonic() - started, outputs)

        done = await _by_rank(found, apply, on_progress)
    return {progress.template: progress.outputs for progress in done}


async def delete(
    aws: Aws,
    *,
    prefix: str = "",
    access: bool = False,
    templates: Sequence[Path] | None = None,
    only: Iterable[str] | None = None,
    on_progress: OnProgress = _ignore,
) -> None:
    """Delete the stacks, what is in them too, in the reverse order; those that do not exist are fine.

    `access` deletes the IAM policies too, which must be attached to nothing any more; `only` names the templates whose
    stacks go. Raises ConfigurationError or StackFailed.
    """
    wanted = None if only is None else set(only)
    known = load(templates, kinds=frozenset(TemplateKind) if access else BROKER)
    found = [template for template in reversed(known) if wanted is None or template.name in wanted]
    async with connect(aws) as stacks:

        async def remove(template: Template) -> StackProgress:
            name, started = stack_name(prefix, template.name), time.monotonic()
            change = await stacks.remove(name)
            return StackProgress(template.name, name, change, time.monotonic() - started)

        await _by_rank(found, remove, on_progress)


def stack_name(prefix: str, template: str) -> str:
    """The name of a template's stack. Raises ConfigurationError when the prefix is none that names can have."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"the prefix {prefix!r} is not possible: up to 30 letters, digits and hyphens, as names of stacks allow"
        )
    return f"event-trio-{prefix}{template}"


@asynccontextmanager
async def connect(aws: Aws) -> AsyncIterator[Stacks]:
    """The stacks of an account and region; impatient with LocalStack, gentle with AWS."""
    async with cloudformation(aws) as client:
        yield Stacks(client, REMOTE if aws.endpoint_url is None else LOCAL)


async def _settings(stacks: Stacks, topic_stack: str, wanted: Settings) -> Settings:
    """Queues follow their topic's settings: a queue that is added later must not mix the scopes, nor lack a key."""
    stack = await stacks.find(topic_stack)
    current = stack.parameters if stack else {}
    if current.get("Throughput") == "high" and wanted.get("Throughput") == "standard":
        raise ConfigurationError(f"{topic_stack} was deployed with high throughput; a topic cannot go back from it")
    return {"Throughput": THROUGHPUTS[0], **{k: v for k, v in current.items() if k != "Prefix"}, **wanted}


async def _by_rank(
    templates: Sequence[Template], work: Callable[[Template], Awaitable[StackProgress]], on_progress: OnProgress
) -> list[StackProgress]:
    """Work on the templates of one kind side by side, and on one kind after the other."""

    async def one(template: Template) -> StackProgress:
        progress = await work(template)
        on_progress(progress)
        return progress

    done: list[StackProgress] = []
    for _, group in groupby(templates, key=lambda template: template.kind):
        results = await asyncio.gather(*(one(template) for template in group), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
    return done


def where_options() -> argparse.ArgumentParser:
    """The options that say where the topology is, for the parsers of commands."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--prefix", default=variable("TOPOLOGY_PREFIX") or "", help="put before every name")
    parser.add_argument(
        "--endpoint-url",
        type=_endpoint,
        default=variable("AWS_ENDPOINT_URL"),
        help="address of LocalStack; none for AWS",
    )
    parser.add_argument(
        "--region", type=_region, default=variable("AWS_REGION") or "us-east-1", help="default: %(default)s"
    )
    return parser


def variable(name: str) -> str | None:
    """What the environment says; a blank is nothing, as it is to services."""
    return os.environ.get(name, "").strip() or None


def message_bytes(text: str) -> int:
    """The value of an option; raises ArgumentTypeError."""
    if BYTES.fullmatch(text) and SMALLEST_BYTES <= int(text) <= LARGEST_BYTES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from {SMALLEST_BYTES} to {LARGEST_BYTES}")


def _endpoint(text: str) -> str | None:
    try:
        return http_url(text.strip()) if text.strip() else None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the endpoint URL {error}") from None


def _region(text: str) -> str:
    if not is_region(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no region of AWS, such as us-east-1")
    return text


async def checked(aws: Aws, work: Coroutine[object, object, T]) -> T:
    """Do the work, once it is known that the SDK can be used. Raises ConfigurationError."""
    try:
        await ensure_usable(aws)
    except ConfigurationError:
        work.close()
        raise
    return await work


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__, parents=[where_options()])
    parser.add_argument("--throughput", choices=THROUGHPUTS, help='default: as it is; "high" for new topics')
    parser.add_argument("--encryption-key", help="ARN of a KMS key for topics and queues; default: as it is")
    parser.add_argument("--alarm-topic", help="ARN of the SNS topic that alarms go to; default: as it is")
    parser.add_argument(
        "--message-bytes",
        type=message_bytes,
        default=variable("MESSAGE_BYTES"),
        help="the largest message that topics take, in bytes; default: MESSAGE_BYTES, else as it is (262144 if new)",
    )
    parser.add_argument("--access", action="store_true", help="the IAM policies too; needs the right to make them")
    parser.add_argument("--delete", action="store_true", help="delete the stacks, with every message in their queues")
    parser.add_argument("--yes", action="store_true", help="needed to delete on AWS")
    return parser


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0, or 1 with a sentence on standard error."""
    forget_empty_variables()
    options = _arguments().parse_args(arguments)
    aws = Aws(options.region, options.endpoint_url)
    if options.delete and aws.endpoint_url is None and not options.yes:
        print(
            "error: this deletes queues on AWS with every message in them; add --yes if that is meant", file=sys.stderr
        )
        return 1

    def show(progress: StackProgress) -> None:
        print(progress, flush=True)

    try:
        if options.delete:
            work = delete(aws, prefix=options.prefix, access=options.access, on_progress=show)
            asyncio.run(checked(aws, work))
        else:
            deployment = deploy(
                aws,
                prefix=options.prefix,
                throughput=options.throughput,
                encryption_key=options.encryption_key,
                alarm_topic=options.alarm_topic,
                message_bytes=options.message_bytes,
                access=options.access,
                on_progress=show,
            )
            asyncio.run(checked(aws, deployment))
    except EventTrioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BROKER_FAULTS as error:
        where = aws.endpoint_url or f"AWS in {aws.region}"
        print(f"error: CloudFormation at {where} cannot be used: {error_code(error)}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(run())
