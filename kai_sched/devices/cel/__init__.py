"""CEL as device selectors use it: parsed, checked, compiled to closures, evaluated within a step budget."""
