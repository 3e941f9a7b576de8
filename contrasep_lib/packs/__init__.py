"""A trained model in one file: packed with its card and licence, unpacked from anyone."""
