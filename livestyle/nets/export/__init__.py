"""From PyTorch to ONNX: graphs for the engines, int8 quantization, shipping."""
