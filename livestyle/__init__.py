"""livestyle: a real-time webcam filter that paints the background, the person, or both.

Imports go strictly downward (tests/test_layers.py):

    cli
    cli_config  cli_ctl  cli_jobs
    console  completion
    bundle  cost
    follow  bench  doctor  evaluate  evaluate_style  leak  sheets  stills  paint_in
    live  studio  train  config
    guard
    preview
    easel  memory  deck  control  flame
    filter  album  recipe  naive  charts  recording  queued  peak
    ondevice
    masked  options  remote  planes  tensors
    segment  stylize  gatys  look
    segmenters  crf  matting  loss_network  encoded
    engine
    sources  sinks  weights  nets  steady  unfinished  jobs
    overlay  canvas  sound
    faults  light  blending  bokeh  composites  metrics  region  painter  paintings  loss_curve
    image  cores  loopback  autoquality
    files  onnx_file
    errors  settings  toml_text  devices  v4l2  meter
"""

import time

IMPORTED = time.monotonic()
__version__ = "0.1.0"
