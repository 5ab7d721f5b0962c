# GF-7 building, test part: tiles of 512 x 512 (number not stated), building and background.
#
# Command:    python tools/test.py configs/segearth-ov3_gf7_building.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py gf7_building --src DIR
# Data:       data/GF7-building/{Test/image,Test/label_cvt}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.5, conf 0.1, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: with nothing that could be read; words of our own, since none were published.
_base_ = '_base_/gf7_building.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/gf7_building.txt', background=0, prob_threshold=0.5, confidence_threshold=0.1)
