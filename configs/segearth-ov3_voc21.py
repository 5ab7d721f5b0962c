# Pascal VOC 2012, validation part: 1449 photographs, 20 classes and background.
#
# Command:    python tools/test.py configs/segearth-ov3_voc21.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py voc21 --src DIR
# Data:       data/VOC2012/{JPEGImages,SegmentationClass}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 79.8 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 83.8 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0.4, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 21 classes; the published words (21 prompts), whole images.
_base_ = '_base_/voc21.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/voc21.txt', background=0, prob_threshold=0.4, confidence_threshold=0.5)
