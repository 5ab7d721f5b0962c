# VDD, test part: about 80 whole drone photographs, 7 classes, other included.
#
# Command:    python tools/test.py configs/segearth-ov3_vdd.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py vdd --src DIR
# Data:       data/VDD/{test/src,test/gt}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 64.5 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by ProC-SAM3, 64.4 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 67.5 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.3, conf 0.5, fallback other (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 7 classes; the published words (7 prompts), class other prompted as background, wall as
#             facade.
_base_ = '_base_/vdd.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/vdd.txt', background=0, prob_threshold=0.3, confidence_threshold=0.5)
