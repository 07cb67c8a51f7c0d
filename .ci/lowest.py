"""Print pip constraints that pin what a user installs, extras too, at the lower bounds that pyproject.toml states."""

import re
import tomllib
from pathlib import Path

EXTRAS = ("parquet", "plot")

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
extras = [r for extra in EXTRAS for r in project["optional-dependencies"][extra]]
bounds = [
    re.match(r"([\w-]+)(?:\[.*\])?>=([\w.]+)", requirement) for requirement in (*project["dependencies"], *extras)
]
print("\n".join(sorted({f"{name}=={bound}" for name, bound in (found.groups() for found in bounds)})))
