# Zurich Summer: 20 QuickBird scenes as 8-bit RGB, 8 classes; unlabelled pixels are ignored.
#
# Command:    python tools/test.py configs/segearth-ov3_zurich_summer.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py zurich_summer --src DIR
# Data:       data/Zurich_Summer/{images,labels}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0 (every pixel gets its best class), conf 0.5: the toolkit's defaults, not tuned on this set
# Measured:   none yet with SAM 3's weights
# Comparable: with nothing published for this method; words and stretch to 8 bit of our own
#             (tools/prepare_data/semantic.py).
_base_ = '_base_/zurich_summer.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/zurich_summer.txt', background=None, prob_threshold=0.0,
    confidence_threshold=0.5)
