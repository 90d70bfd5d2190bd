"""The properties that a template declares, with the parameters of a stack inserted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from infra.stacks import Stack
from infra.template_yaml import FunctionCall, Value, parse

Properties: TypeAlias = Mapping[str, Value]

_NO_VALUE = object()


@dataclass(frozen=True, slots=True)
class Account:
    """The account and region of a stack."""

    partition: str
    region: str
    number: str

    @classmethod
    def of(cls, stack: Stack) -> Account:
        """The account in the id of a stack (`arn:<partition>:cloudformation:<region>:<account>:stack/...`)."""
        _, partition, _, region, number, *_ = stack.stack_id.split(":")
        return cls(partition, region, number)


class Declaration:
    """A template, resolved as CloudFormation resolves it for one stack.

    Only the functions that the templates of the project use are supported. Raises KeyError for any other.
    """

    def __init__(self, body: str, parameters: Mapping[str, str], account: Account) -> None:
        self._document: Properties = parse(body)
        defaults = {name: str(declared["Default"]) for name, declared in self._document["Parameters"].items()}
        self._account = account
        self._values: dict[str, Value] = {
            "AWS::Partition": account.partition,
            "AWS::Region": account.region,
            "AWS::AccountId": account.number,
            "AWS::NoValue": _NO_VALUE,
            **defaults,
            **parameters,
        }

    def resources(self, kind: str) -> Iterator[tuple[str, Properties]]:
        """Logical ids and properties of the resources of a type, without those whose condition is false."""
        for logical_id, resource in self._document["Resources"].items():
            if resource["Type"] == kind and self._holds(resource.get("Condition")):
                yield logical_id, self._resolve(resource["Properties"])

    def _resolve(self, value: Value) -> Value:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        if isinstance(value, FunctionCall):
            return self._call(value)
        if isinstance(value, Mapping):
            found = {key: self._resolve(item) for key, item in value.items()}
            return {key: item for key, item in found.items() if item is not _NO_VALUE}
        return value

    def _call(self, function: FunctionCall) -> Value:
        match function.name:
            case "Ref":
                name = function.argument
                return self._values[name] if name in self._values else self._arn(name)
            case "GetAtt":
                logical_id, _, attribute = function.argument.partition(".")
                return self._arn(logical_id) if attribute == "Arn" else self._name(logical_id)
            case "Sub":
                return self._substitute(function.argument)
            case "If":
                condition, then, otherwise = function.argument
                return self._resolve(then if self._holds(condition) else otherwise)
        raise KeyError(f"!{function.name} is not supported")

    def _arn(self, logical_id: str) -> str:
        service = "sns" if self._document["Resources"][logical_id]["Type"] == "AWS::SNS::Topic" else "sqs"
        account = self._account
        return f"arn:{account.partition}:{service}:{account.region}:{account.number}:{self._name(logical_id)}"

    def _name(self, logical_id: str) -> str:
        properties = self._document["Resources"][logical_id]["Properties"]
        return str(self._resolve(properties.get("QueueName") or properties["TopicName"]))

    def _substitute(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace(f"${{{name}}}", str(value))
        return text

    def _holds(self, condition: str | None) -> bool:
        return condition is None or self._is_true(self._document["Conditions"][condition])

    def _is_true(self, expression: FunctionCall) -> bool:
        if expression.name == "Not":
            return not self._is_true(expression.argument[0])
        left, right = map(self._resolve, expression.argument)
        return bool(left == right)
