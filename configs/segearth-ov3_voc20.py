# Pascal VOC 2012, validation part: 1449 photographs, 20 classes, background ignored.
#
# Command:    python tools/test.py configs/segearth-ov3_voc20.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py voc20 --src DIR
# Data:       data/VOC2012/{JPEGImages,SegmentationClass}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 96.8 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 97.0 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0 (every pixel gets its best class), conf 0.2, as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 20 classes; the published words (26 prompts), whole images.
_base_ = '_base_/voc20.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/voc20.txt', background=None, prob_threshold=0.0, confidence_threshold=0.2)
