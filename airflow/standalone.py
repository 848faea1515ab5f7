"""`airflow standalone` with every port on loopback.

Airflow's servers of logs bind to all addresses and have no setting for it. On one machine nobody needs them: the logs
are read from disk. So they stay off. And it ends with all its components when it is told to, by whichever signal.
"""

import signal

from airflow.cli.commands import standalone_command

SERVE_LOGS = ("scheduler", "triggerer")


class LoopbackCommand(standalone_command.SubCommand):
    """One of the four components, without its server of logs."""

    def __init__(self, parent: object, name: str, command: list[str], env: dict[str, str]) -> None:
        more = ["--skip-serve-logs"] if name in SERVE_LOGS else []
        super().__init__(parent, name, [*command, *more], env)


if __name__ == "__main__":
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    standalone_command.SubCommand = LoopbackCommand
    standalone_command.StandaloneCommand().run()
