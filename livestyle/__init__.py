"""livestyle: a real-time webcam filter that paints the background, the person, or both.

Imports go strictly downward (tests/test_layers.py):

    cli
    bench  doctor  evaluate  evaluate_style  stills
    live  train
    filter
    segment  stylize  gatys  look
    segmenters  crf
    engine
    sources  sinks  weights  nets
    composites  metrics
    image
    errors  settings
"""

import time

IMPORTED = time.monotonic()
__version__ = "0.1.0"
