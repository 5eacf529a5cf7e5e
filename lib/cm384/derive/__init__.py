"""The one idea: derivations, their working, how far sources disagree, what would turn a figure."""
