# CHN6-CUG roads, validation part: about 903 tiles of 512 x 512, road and background.
#
# Command:    python tools/test.py configs/segearth-ov3_chn6_cug.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py chn6_cug --src DIR
# Data:       data/CHN6-CUG/{val/image_cvt,val/label_cvt}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.3, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of road; the published words (2 prompts).
_base_ = '_base_/chn6_cug.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/chn6_cug.txt', background=0, prob_threshold=0.3, confidence_threshold=0.5)
