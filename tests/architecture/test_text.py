"""No file names the machine that it was written on, or a host of packages."""

import re

from tests.support.sources import named, project_files

# Built from pieces, so that this file does not match.
PACKAGE_HOSTS = "|".join(("py" + r"(?:pi|thonhosted)[.]org", "//" + "regis" + "try[.-]", "deb[.]" + "debian[.]org"))
HOME_FOLDERS = r"(?<![\w.])/(?:root|home/[a-z][\w-]*|Users/[A-Za-z][\w-]*)/"
FORBIDDEN = re.compile(f"{PACKAGE_HOSTS}|{HOME_FOLDERS}")


def test_no_package_host_and_no_home_folder() -> None:
    found = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{named(path)}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)
        ]
    assert found == []
