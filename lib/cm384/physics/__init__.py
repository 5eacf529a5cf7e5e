"""Machines, models and serving from first principles, and the model held to measurements."""
