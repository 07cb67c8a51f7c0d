"""The errors that bayescale raises: each says what was found, what is accepted and what to do."""


class BayescaleError(ValueError):
    """Base of every error that a user can act on."""


class DataError(BayescaleError):
    """The table cannot be used (the command line exits with 1)."""


class UsageError(BayescaleError):
    """A wrong option, name or file (the command line exits with 2)."""
