"""Regular expressions with the syntax and the linear run time of RE2."""
