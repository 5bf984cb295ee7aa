"""``python -m kai_sched`` is the command line."""

from kai_sched.cli.app import main

if __name__ == "__main__":
    main()
