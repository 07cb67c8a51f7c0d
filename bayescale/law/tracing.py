"""The lock under which NumPyro's models are traced."""

import threading

TRACING = threading.RLock()
"""NumPyro keeps one stack of handlers a process: models traced in two threads at once would mix their sites."""
