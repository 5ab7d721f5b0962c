# UDD5, validation part: about 40 whole drone photographs, 5 classes, other included.
#
# Command:    python tools/test.py configs/segearth-ov3_udd5.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py udd5 --src DIR
# Data:       data/UDD5/{val/src,val/gt}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 71.7 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by ProC-SAM3, 71.6 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 73.4 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.1, conf 0.5, fallback other (4), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 5 classes; the published words (5 prompts), class other prompted as background. Photographs
#             are not turned by their orientation tag.
_base_ = '_base_/udd5.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/udd5.txt', background=4, prob_threshold=0.1, confidence_threshold=0.5)
