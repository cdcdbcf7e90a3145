"""How several streamers share the symbols: which has which, where, and how their number changes."""
