# Cityscapes, validation part: 500 street photographs of 2048 x 1024, 19 classes.
#
# Command:    python tools/test.py configs/segearth-ov3_cityscapes.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py cityscapes --src DIR
# Data:       data/CityScapes/{leftImg8bit/val,gtFine/val}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 69.7 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 69.7 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0 (every pixel gets its best class), conf 0.3, as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 19 classes; the published words (23 prompts), whole images.
_base_ = '_base_/cityscapes.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/cityscapes.txt', background=None, prob_threshold=0.0,
    confidence_threshold=0.3)
