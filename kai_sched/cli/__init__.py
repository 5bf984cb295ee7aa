"""The command line: one command a file, errors as one line, exit codes 0 done, 1 negative answer, 2 bad input."""
