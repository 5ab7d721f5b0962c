# GF low-grade roads, test part (number of images not stated), road and background.
#
# Command:    python tools/test.py configs/segearth-ov3_gf_road.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py gf_road --src DIR
# Data:       data/GF_LowGradeRoadDataset/{test/image,test/label}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.3, conf 0.1, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: with nothing that could be read; words of our own, since none were published.
_base_ = '_base_/gf_road.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/gf_road.txt', background=0, prob_threshold=0.3, confidence_threshold=0.1)
