"""Claims: what they say, what the rule answers, how robust that is, and how it is shown."""
