"""Where frames come from: cameras, clips, stills, the demo."""
