"""Paint the background of a photo: python photo.py me.jpg painted.png great_wave"""

import sys

import numpy as np
from PIL import Image

import livestyle

source, target, style = sys.argv[1:4]
image = np.asarray(Image.open(source).convert("RGB"))
with livestyle.Filter(background=style) as filter:
    Image.fromarray(filter.paint(image)).save(target)
    share = filter.matte(image).mean()
print(f"{target}: the person covers {share:.0%} of the picture")
