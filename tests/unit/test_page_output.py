"""Pages with the output of their commands, and the page of the project that has it."""

import subprocess

from tools.page_output import commands, script, split, with_outputs

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
