"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from bayescale.errors import UsageError


class whole_file:  # noqa: N801  (a context manager, used as a verb)
    """A temporary path beside `target` that replaces it if the block succeeds and vanishes if not."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Path:
        try:
            handle, name = tempfile.mkstemp(
                dir=self.target.parent or ".", prefix=f".{self.target.name}.", suffix=".part"
            )
        except OSError as error:
            raise UsageError(f"cannot write {self.target}: {error.strerror or error}") from None
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            if kind is None:
                umask = os.umask(0)
                os.umask(umask)
                self.temporary.chmod(0o666 & ~umask)
                os.replace(self.temporary, self.target)
        except OSError as failed:
            raise UsageError(f"cannot write {self.target}: {failed.strerror or failed}") from None
        finally:
            self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"cannot write {self.target}: {error.strerror or error}") from None
