"""Who has to leave so that a gang gets a place: the cheapest set that is found within a budget. Knows no queue."""
