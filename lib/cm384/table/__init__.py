"""What is stated: units, records of the data files and their checks, the table, draws, words."""
