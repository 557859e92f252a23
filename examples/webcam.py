"""A webcam, painted, in a loop of ten lines with OpenCV: python webcam.py [CAMERA OR CLIP [FRAMES]]"""

import sys
import time

import cv2

import livestyle

source = sys.argv[1] if len(sys.argv) > 1 else "0"
frames = int(sys.argv[2]) if len(sys.argv) > 2 else None  # None: until Escape is pressed
capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)

with livestyle.Filter(background="starry_night") as filter:
    while frames != 0:
        is_read, bgr = capture.read()
        if not is_read:
            break
        painted = filter.paint(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), time=time.monotonic())
        cv2.imshow("livestyle", cv2.cvtColor(painted, cv2.COLOR_RGB2BGR))
        frames = None if frames is None else frames - 1
        if cv2.waitKey(1) == 27:
            break
