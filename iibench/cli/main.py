"""The program's entry: finds the verb, and turns errors into one message and an exit code.

Exit codes are pytest's: 0 all passed, 1 a case or an expectation failed, or a part of the results could not
be written, 2 interrupted, 3 a bug in iibench, 4 the command, suite or a file is wrong, 5 nothing was
measured: no case was selected, or all were skipped.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

import click

from iibench.cli.terminal.streams import lost_output, steady_output
from iibench.contract.errors import UsageError, unknown_name

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_BUG, EXIT_USAGE, EXIT_NOTHING = range(6)

#: verb -> module that holds its click command as `command`
VERBS = {
    "run": "iibench.cli.run",
    "ls": "iibench.cli.ls",
    "show": "iibench.cli.show",
    "validate": "iibench.cli.validate",
    "report": "iibench.cli.report",
    "compare": "iibench.cli.compare",
    "rerun": "iibench.cli.rerun",
    "plugin": "iibench.cli.plugin",
    "assets": "iibench.cli.assets",
    "cache": "iibench.cli.cache",
    "schema": "iibench.cli.schema",
}


class Verbs(click.Group):
    """Imports a verb's module when it is asked for; verbs of plugins come after iibench's own."""

    _plugins_asked = False
    _arguments: Sequence[str] = ()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, iibench's own first."""
        self._ask_plugins()
        return [*VERBS, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported; raises `UsageError` with the nearest names where there is none."""
        if cmd_name in VERBS:
            command: click.Command = importlib.import_module(VERBS[cmd_name]).command
            return command
        self._ask_plugins()
        if cmd_name not in self.commands:
            raise UsageError(unknown_name("command", cmd_name, [*VERBS, *self.commands]))
        return self.commands[cmd_name]

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a plugin's verb; raises `ValueError` where the name is taken."""
        name = name or cmd.name or ""
        if name in VERBS or name in self.commands:
            raise ValueError(f"there is already a command {name!r}")
        super().add_command(cmd, name)

    def begin(self, arguments: Sequence[str]) -> None:
        """A new run of the program: it finds the verbs of the plugins that its arguments name."""
        self.commands.clear()
        self._plugins_asked = False
        self._arguments = arguments

    def _ask_plugins(self) -> None:
        if self._plugins_asked:
            return
        self._plugins_asked = True
        from iibench.hooks.loading import load_plugins

        names, folders = plugin_arguments(self._arguments)
        plugins = load_plugins(names, folders)
        for failure in plugins.notify("iibench_register_commands", cli=self):
            click.echo(f"iibench: warning: {failure}", err=True)


def plugin_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of `-p` and `--plugins-dir` among the arguments, before a verb has parsed them."""
    found: tuple[list[str], list[str]] = ([], [])
    words = iter(arguments)
    for word in words:
        if word in {"-p", "--plugin", "--plugins-dir"}:
            value = next(words, None)
            if value is not None:
                found[word == "--plugins-dir"].append(value)
        elif word.startswith("--plugins-dir="):
            found[1].append(word.partition("=")[2])
        elif word.startswith("--plugin="):
            found[0].append(word.partition("=")[2])
        elif word.startswith("-p") and not word.startswith("--") and len(word) > 2:
            found[0].append(word[2:])
    return found


cli = Verbs(
    "iibench",
    help="Measure how interpretable the features inside vision networks are.\n\n"
    "Start with: iibench run quickstart",
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli = click.version_option(package_name="iibench")(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits with its code."""
    steady_output()
    code = run_program(arguments)
    lost = lost_output()
    if lost is not None:
        click.echo(f"iibench: error: standard output cannot be written: {lost.strerror}", err=True)
    sys.exit(code or (EXIT_OK if lost is None else EXIT_USAGE))


def run_program(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code instead of exiting."""
    cli.begin(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=arguments, prog_name="iibench", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except UsageError as error:
        click.echo(f"iibench: error: {error}", err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("iibench: interrupted", err=True)
        return EXIT_INTERRUPTED
    except Exception:
        traceback.print_exc()
        click.echo(
            "iibench: this is a bug in iibench; please report it with the lines above", err=True
        )
        return EXIT_BUG
