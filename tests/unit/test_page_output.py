"""Pages with the output of their commands, and the page of the project that has it."""

import subprocess

from tests.support.documents import page
from tools.page_output import COMMAND, commands, script, split, with_outputs

PAGE = """# A page

```sh
first=1
```

Text.

```sh
echo "$first"; echo oops >&2
```

```text
old
```

```python
kept
```
"""


def test_outputs_replace_those_of_the_page() -> None:
    assert commands(PAGE) == ["first=1\n", 'echo "$first"; echo oops >&2\n']
    changed = with_outputs(PAGE, ["ignored\n", "new\n"])
    assert changed == PAGE.replace("old\n", "new\n")


def test_the_commands_share_a_shell_and_print_both_streams() -> None:
    printed = subprocess.run(
        ["bash"], input=script(commands(PAGE), "--m--"), capture_output=True, text=True, check=True
    ).stdout
    assert split(printed, "--m--") == ["", "1\noops\n"]


def test_the_page_follow_one_order_has_output_of_each_command() -> None:
    text = page("docs/how-to/follow-one-order.md").text
    found = {each["command"]: each["output"] for each in COMMAND.finditer(text)}
    outputs = {name: output for command, output in found.items() for name in NAMES if f"event-trio {name}" in command}
    assert outputs.keys() == NAMES.keys()
    for name, expected in NAMES.items():
        assert expected in (outputs[name] or ""), name
    assert "Traceback" not in text


NAMES = {
    "event show": "notification.sent",
    "events tail": "published",
    "topology show": "read by notification",
    "doctor": "[group-held]",
    "outbox replay": "sent again",
}
