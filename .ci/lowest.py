"""Print pip constraints that pin every dependency at the lower bound that pyproject.toml states."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
for requirement in project["dependencies"]:
    name, bound = re.fullmatch(r"([\w-]+)(?:\[.*\])?>=([\w.]+)(?:[,;].*)?", requirement).groups()
    print(f"{name}=={bound}")
