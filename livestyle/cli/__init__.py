"""The command line, one file for each group of commands. The only prints and exit codes."""
