"""Makes commands true: writes claims, binds pods, takes back what was half written."""
