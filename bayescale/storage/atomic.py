"""Files written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType

from bayescale.errors import UsageError


class whole_file:  # noqa: N801  (a context manager, used as a verb)
    """A temporary path beside `target` that replaces it if the block succeeds and vanishes if not."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Path:
        self.temporary = self.target.parent / f".{self.target.name}.{secrets.token_hex(6)}.part"
        try:
            # opened and not made by tempfile, so that the process's umask applies; O_EXCL follows no link
            os.close(os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except OSError as error:
            raise UsageError(f"cannot write {self.target}: {error.strerror or error}") from None
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self.target.exists():
                    shutil.copymode(self.target, self.temporary)
                os.replace(self.temporary, self.target)
        except OSError as failed:
            raise UsageError(f"cannot write {self.target}: {failed.strerror or failed}") from None
        finally:
            self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"cannot write {self.target}: {error.strerror or error}") from None
