"""How fast pod events reach the mirror, what a pod costs there, and the same for kopf handlers."""
