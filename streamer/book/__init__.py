"""Order books, rebuilt from records: snapshots, and the changes that follow them."""
