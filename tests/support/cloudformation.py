"""CloudFormation templates as plain values, for assertions about parts that LocalStack does not enforce."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000"}
NO_VALUE = object()


_Loader = cast("type[yaml.SafeLoader]", type("_Loader", (yaml.CSafeLoader,), {}))


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        value = value.split(".", 1) if suffix == "GetAtt" else value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read(path: Path) -> dict[str, Any]:
    """The template with its short forms spelt out."""
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)
    return document


class Resolved:
    """A template with its parameters put in. `!Ref Queue` reads "Queue", `!GetAtt Queue.Arn` reads "Queue.Arn"."""

    def __init__(self, path: Path, **parameters: str) -> None:
        self.name = path.stem
        self.document = read(path)
        self._values = {
            **PSEUDO,
            "AWS::NoValue": NO_VALUE,
            **{name: str(declared["Default"]) for name, declared in self.document["Parameters"].items()},
            **parameters,
        }

    def resources(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The logical ids and properties of the resources of a type such as "SQS::Queue" whose condition holds."""
        for logical_id, resource in self.document["Resources"].items():
            if resource["Type"] == f"AWS::{kind}" and self._holds(resource.get("Condition")):
                yield logical_id, self._value(resource["Properties"])

    def only(self, kind: str) -> Mapping[str, Any]:
        """The properties of the only resource of a type."""
        ((_, properties),) = self.resources(kind)
        return properties

    def statements(self, kind: str, target: str) -> dict[str, Mapping[str, Any]]:
        """The policy statements, by Sid, that the policies of a type put on the resource `target`."""
        found: dict[str, Mapping[str, Any]] = {}
        for _, policy in self.resources(kind):
            if target in policy.get("Queues", policy.get("Topics", [])):
                found |= {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}
        return found

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._value, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._values.get(argument, argument)
            if name == "Fn::GetAtt":
                return ".".join(argument)
            if name == "Fn::Sub":
                return self._substituted(argument)
            if name == "Fn::If":
                condition, then, otherwise = argument
                return self._value(then if self._holds(condition) else otherwise)
        read = {key: self._value(item) for key, item in value.items()}
        return {key: item for key, item in read.items() if item is not NO_VALUE}

    def _substituted(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace(f"${{{name}}}", str(value))
        assert "${" not in text, text
        return text

    def _holds(self, condition: str | None) -> bool:
        return condition is None or self._is_true(self.document["Conditions"][condition])

    def _is_true(self, expression: Mapping[str, Any]) -> bool:
        if "Fn::Not" in expression:
            return not self._is_true(expression["Fn::Not"][0])
        left, right = self._value(expression["Fn::Equals"])
        return bool(left == right)
