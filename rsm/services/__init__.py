"""What the manager does. Each function works inside one open transaction, and never ends it.

`mounts -> media | library -> pools -> objects -> access | events`: a module imports only from those after it.
"""
