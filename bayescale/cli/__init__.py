"""The command line: one file a command, each loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from bayescale.cli.printed import PRINTED
from bayescale.errors import BayescaleError, DataError, did_you_mean, printable, speaking_of_options

COMMANDS = {
    "fit": "Fit a law to a table of runs.",
    "predict": "Predict the metric at given inputs, from a saved fit or comparison.",
    "allocate": "Split compute between parameters and tokens, from a saved fit or comparison.",
    "compare": "Compare laws on one table: evidence, cross-validation, forecasts.",
    "multiplier": "How many times the compute one recipe needs for the loss that another reaches.",
    "downstream": "Predict an error rate of downstream tasks through the loss.",
    "approaches": "Optimal N and D by envelope, isoFLOP profiles and a law, side by side.",
    "report": "Write one HTML page of a saved fit or comparison, with a planner in it.",
    "plot": "Draw a saved fit or comparison into a file.",
    "calibrate": "Check a law by simulation: do its posteriors hold what they say?",
    "kaplan": "The plan of Kaplan et al. 2020 for given N, D, C, B.",
    "laws": "List the laws, or show one with its priors and published values.",
    "data": "List the data sets, or print one.",
}


class Commands(click.Group):
    """Subcommands that are imported when called, so that --help answers at once."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"bayescale.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, with a hint where it is misspelt."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bayescale", message="bayescale %(version)s")
def bayescale() -> None:
    """Neural scaling laws with posteriors: fit, predict, allocate, compare.

    Every command takes --json and then prints one JSON object on standard output, {"error": {"code", "message"}} where
    it fails. Exit status: 0 done, 1 the data or the posterior cannot be trusted, 2 wrong usage.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; never a traceback (BAYESCALE_DEBUG=1 shows one)."""
    given = sys.argv[1:] if arguments is None else arguments
    with speaking_of_options():
        status = _run(given)
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    before = PRINTED.set(False)
    try:
        status = bayescale.main(arguments, prog_name="bayescale", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        return _failed(arguments, 2, "usage", error.format_message())
    except (click.Abort, KeyboardInterrupt):
        if programs := sys.modules.get("bayescale.compiled"):
            programs.cancel()
        _say("interrupted; nothing was written")
        return _failed(arguments, 130, "interrupted", "interrupted; nothing was written")
    except BayescaleError as error:
        _say(str(error))
        return _failed(arguments, 1 if isinstance(error, DataError) else 2, error.code, str(error))
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")
        return 0
    except Exception as error:
        if os.environ.get("BAYESCALE_DEBUG"):
            raise
        message = (
            f"this should not happen: {type(error).__name__}: {error}. BAYESCALE_DEBUG=1 shows where; please report it."
        )
        _say(message)
        return _failed(arguments, 1, "internal", printable(message))
    finally:
        PRINTED.reset(before)


def _failed(arguments: list[str], status: int, code: str, message: str) -> int:
    """The exit status; with --json also an object that says why, in place of a result that was not written."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options and not PRINTED.get():
        from bayescale.cli.options import print_json

        print_json({"error": {"code": code, "message": message}})
    return status


def _say(message: str) -> None:
    click.echo(printable(f"bayescale: {message}"), err=True)
