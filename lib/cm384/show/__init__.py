"""What a cell shows: a frame as a table, a figure with the sentence and the numbers behind it."""
