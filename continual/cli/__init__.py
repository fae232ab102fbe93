"""The command line. Heavy modules are imported inside the commands, so that `continual --help` is quick."""

import sys

import click

from continual import __version__
from continual.cli import compare, distil, grid, grow, listing, pool, predict, pretrain, runs, sweep, validate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="continual")
def command() -> None:
    """Continual learning for streaming text tasks: a pool of soft prompts that forgets nothing.

    Start with `continual run quickstart`.
    """


for part in (
    runs.run,
    runs.resume,
    runs.learn,
    predict.predict,
    runs.report,
    compare.compare,
    sweep.sweep,
    validate.validate,
    grid.grid,
    pretrain.pretrain,
    grow.grow,
    distil.distil,
    pool.pool,
    listing.ls,
):
    command.add_command(part)


def main() -> None:
    """Runs the command line; what the user can put right ends in one sentence and exit code 2."""
    from continual.errors import Interrupted
    from streams.errors import UserError

    try:
        _check_arguments(sys.argv[1:])
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Interrupted as error:
        click.echo(str(error), err=True)
        sys.exit(130)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped at once; everything finished so far is on disk.", err=True)
        sys.exit(130)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if not _is_of_files(error):  # a connection, or a defect, which its traceback explains better
            raise
        place, reason = error.filename or "a file", error.strerror or error
        click.echo(f"error: Could not use {place}: {reason}; check path, permissions and free space.", err=True)
        sys.exit(2)


def _is_of_files(error: OSError) -> bool:
    """Whether a path or a disk refused."""
    from continual.files import REMEDIES

    return error.filename is not None or error.errno in REMEDIES


def _check_arguments(arguments: list[str]) -> None:
    """Refuses bytes that are no text: they would fail at the first file or log that they are written to."""
    from continual.errors import ConfigError

    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise ConfigError(f"Argument {number}, {shown!r}, is not UTF-8; give names and values as UTF-8.") from None
