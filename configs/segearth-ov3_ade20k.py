# ADE20K, validation part: 2000 photographs, 150 classes.
#
# Command:    python tools/test.py configs/segearth-ov3_ade20k.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py ade20k --src DIR
# Data:       data/ADE20K/{images/validation,annotations/validation}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 37.6 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 40.0 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0 (every pixel gets its best class), conf 0.3, as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 150 classes; the published words (150 prompts), whole images.
_base_ = '_base_/ade20k.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/ade20k.txt', background=None, prob_threshold=0.0, confidence_threshold=0.3)
