"""The command line: argv -> library calls -> exit status, and nothing else."""
