"""Deploys the topology to LocalStack or AWS, or deletes it: `python -m infra.deploy`."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from event_trio.broker.aws import Aws, cloudformation
from event_trio.errors import ConfigurationError
from event_trio.settings import forget_empty_variables
from infra import command
from infra.manifest import BROKER, Template, TemplateKind, load
from infra.stacks import LOCAL, REMOTE, StackChange, Stacks

T = TypeVar("T")

PREFIX = re.compile(r"[A-Za-z0-9-]{0,30}")
THROUGHPUTS = ("high", "standard")

# Parameters of a stack; those that are not given keep their values.
StackSettings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StackProgress:
    """The result of deploying or deleting the stack of a template."""

    template: str
    stack: str
    change: StackChange
    seconds: float
    outputs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stack}: {self.change} ({self.seconds:.1f} s)"


OnProgress = Callable[[StackProgress], None]


def _ignore(progress: StackProgress) -> None:
    """The default callback."""


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
    """Create or update the stack of every template; a stack that is up to date is not changed.

    `throughput` ("high" or "standard"), `encryption_key` and `alarm_topic` (ARNs, or "" for none) and `message_bytes`
    (1 KiB to 1 MiB) apply to the topics and their subscribers. A value that is not given is kept; a new topic has
    "high", 256 KiB, no key and no alarm topic. `access` deploys the IAM policies too.

    Returns the outputs of each stack by the name of its template. Raises ConfigurationError or StackFailed.
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
                },  # AWS accepts no empty tags
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
    """Delete the stacks with their resources, in reverse order; a stack that does not exist is ignored.

    `access` deletes the IAM policies too, which must not be attached to a role any more. With `only`, only the stacks
    of these templates are deleted. Raises ConfigurationError or StackFailed.
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
    """The name of the stack of a template. Raises ConfigurationError for an invalid prefix."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigurationError(f"invalid prefix {prefix!r}: up to 30 letters, digits and hyphens are allowed")
    return f"event-trio-{prefix}{template}"


@asynccontextmanager
async def connect(aws: Aws) -> AsyncIterator[Stacks]:
    """The stacks of an account and region, polled more often on LocalStack than on AWS."""
    async with cloudformation(aws) as client:
        yield Stacks(client, REMOTE if aws.endpoint_url is None else LOCAL)


async def _settings(stacks: Stacks, topic_stack: str, wanted: StackSettings) -> StackSettings:
    """The parameters of a topic and its queues. A queue that is added later needs the same scope and key."""
    stack = await stacks.find(topic_stack)
    current = stack.parameters if stack else {}
    if current.get("Throughput") == "high" and wanted.get("Throughput") == "standard":
        raise ConfigurationError(f"{topic_stack} was deployed with high throughput, which cannot be changed back")
    return {"Throughput": THROUGHPUTS[0], **{k: v for k, v in current.items() if k != "Prefix"}, **wanted}


async def _by_rank(
    templates: Sequence[Template], work: Callable[[Template], Awaitable[StackProgress]], on_progress: OnProgress
) -> list[StackProgress]:
    """Work on one kind of template after the other, and concurrently on the templates of a kind."""

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


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description=__doc__, parents=[command.location_options()]
    )
    parser.add_argument("--throughput", choices=THROUGHPUTS, help='default: unchanged; "high" for new topics')
    parser.add_argument("--encryption-key", help="ARN of a KMS key for topics and queues; default: unchanged")
    parser.add_argument("--alarm-topic", help="ARN of the SNS topic for alarms; default: unchanged")
    parser.add_argument(
        "--message-bytes",
        type=command.message_bytes,
        default=command.variable("MESSAGE_BYTES"),
        help="largest message of topics and queues; default: MESSAGE_BYTES, else unchanged (262144 for new ones)",
    )
    parser.add_argument(
        "--access", action="store_true", help="the IAM policies too; requires permission to create them"
    )
    parser.add_argument("--delete", action="store_true", help="delete the stacks with all messages in their queues")
    parser.add_argument("--yes", action="store_true", help="required to delete on AWS")
    return parser


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0, 1 after an error, or 2 after a usage error."""
    forget_empty_variables()
    options = _arguments().parse_args(arguments)
    aws = Aws(options.region, options.endpoint_url)
    if options.delete:
        if aws.endpoint_url is None and not options.yes:
            print("error: this deletes queues on AWS with all their messages; confirm with --yes", file=sys.stderr)
            return 1
        command.run(aws, delete(aws, prefix=options.prefix, access=options.access, on_progress=_print))
        return 0
    deployment = deploy(
        aws,
        prefix=options.prefix,
        throughput=options.throughput,
        encryption_key=options.encryption_key,
        alarm_topic=options.alarm_topic,
        message_bytes=options.message_bytes,
        access=options.access,
        on_progress=_print,
    )
    command.run(aws, deployment)
    return 0


def _print(progress: StackProgress) -> None:
    print(progress, flush=True)


if __name__ == "__main__":
    raise SystemExit(run())
