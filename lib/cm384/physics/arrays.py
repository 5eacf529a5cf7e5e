"""The array functions of the physics, from one place, so that a compiler's can stand in for them.

What is computed here branches on fields of a deployment and on which rows a table has, never on the
value of a row.
"""

import numpy as np

inf = np.inf
any, where, interp, asarray, ones_like = np.any, np.where, np.interp, np.asarray, np.ones_like
ceil, floor, maximum, minimum = np.ceil, np.floor, np.maximum, np.minimum
exp, log, log2, sqrt, hypot = np.exp, np.log, np.log2, np.sqrt, np.hypot
