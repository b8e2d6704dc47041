"""Whether this machine can draw without a display."""

from __future__ import annotations

import ctypes
import os

_LIBRARY = "libEGL.so.1"


class NoGraphics(FileNotFoundError):
    """The system's graphics library is missing. Says how to get it."""


def prepare_graphics(library: str = _LIBRARY) -> None:
    """Has VTK draw off-screen from now on; without the library it would bring the whole process down.

    Raises: NoGraphics.
    """
    try:
        ctypes.CDLL(library)
    except OSError as error:
        raise NoGraphics(
            f"pictures are drawn with the system's {library}, which is not installed here; "
            "`apt-get install libegl1 libgl1-mesa-dri` gives it, and no display is needed"
        ) from error
    # Else VTK looks for a display first, and complains that there is none.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
