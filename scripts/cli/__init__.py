"""The `dray` command, one module per subcommand.

A module says in its docstring's first line what the command does, has `configure(parser)` for arguments of its own and
`run(arguments, resolved) -> int`, the exit code. It may list in `SETTINGS` which settings are flags of it besides
`--data`. What a command needs is imported when it runs, so that `dray --help` is quick.
"""
