# Generated scenes: 50 images of 504 x 504 with exact labels, 8 classes, and the small model inside the package.
#
# Command:    python tools/test.py configs/segearth-ov3_demo.py --checkpoint demo
# Data:       made on first use in data/demo_scenes; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none; the figure to expect is in segearth_ov3/demo/demo.md
# Thresholds: prob 0 (every pixel gets its best class), conf 0.5, window 336, stride 168
# Comparable: with itself only: a check that everything works, for trying out and testing.
_base_ = '_base_/demo.py'

model = dict(
    checkpoint='demo',
    vocabulary='{{ fileDirname }}/vocab/demo.txt', background=None, prob_threshold=0.0, confidence_threshold=0.5,
    window=336, stride=168)
