"""Integer models and their answers; knows no world."""
