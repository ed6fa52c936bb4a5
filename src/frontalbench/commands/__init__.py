"""What a command line can do: arguments, progress, exit codes of every command, one module each with a ``main``; logic is elsewhere."""
