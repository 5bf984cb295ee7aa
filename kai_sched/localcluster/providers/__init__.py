"""Named clusters that outlive the command that started them, made by one of several providers."""
