"""What training processes import, before they part: each then begins at once."""

import contextlib
import io

# ESPnet prints which optional packages it lacks
with contextlib.redirect_stdout(io.StringIO()):
    import contrasep_lib.train.task  # noqa: F401
