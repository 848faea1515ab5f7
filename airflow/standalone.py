"""`airflow standalone` with every port on loopback.

Airflow's servers of logs bind to all addresses and have no setting for it. On one machine nobody needs them: the logs
are read from disk. So they stay off.
"""

from airflow.cli.commands import standalone_command

SERVE_LOGS = ("scheduler", "triggerer")


class LoopbackCommand(standalone_command.SubCommand):
    """One of the four components, without its server of logs."""

    def __init__(self, parent: object, name: str, command: list[str], env: dict[str, str]) -> None:
        more = ["--skip-serve-logs"] if name in SERVE_LOGS else []
        super().__init__(parent, name, [*command, *more], env)


if __name__ == "__main__":
    standalone_command.SubCommand = LoopbackCommand
    standalone_command.StandaloneCommand().run()
