"""Moves what one store holds into another: any that can be read, into any that can be written.

`Conversion` streams records from a reader to a writer, a batch at a time. A target that can be read back never gets
what it holds already, and a conversion that was interrupted goes on where it stopped: `held` knows what is there,
`state` where we were. Nothing here knows a store; `otel-tracker convert` is its face.
"""

from otel_tracker.convert.conversion import Conversion, Progress
from otel_tracker.convert.counts import Converted
from otel_tracker.convert.places import ConversionError

__all__ = ["Conversion", "ConversionError", "Converted", "Progress"]
