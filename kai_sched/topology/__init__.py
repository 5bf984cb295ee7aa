"""Where things are: domains of nodes, the graph of links between them, and the places of devices inside a node."""
