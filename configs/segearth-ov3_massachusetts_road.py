# Massachusetts roads, from GRSet's validation set: 49 images, road and background.
#
# Command:    python tools/test.py configs/segearth-ov3_massachusetts_road.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py massachusetts_road --src DIR
# Data:       data/GlobalRoadSet_Val/Massachusetts_test_49/{img,label_cvt}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.3, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of road; the published words (2 prompts).
_base_ = '_base_/massachusetts_road.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/massachusetts_road.txt', background=0, prob_threshold=0.3,
    confidence_threshold=0.5)
