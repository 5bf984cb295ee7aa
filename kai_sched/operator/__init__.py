"""The running scheduler: watches, decides in cycles, has commands executed, tells what came of it. No decisions."""
