# Pascal Context, validation part: 5104 photographs, 59 classes, background ignored.
#
# Command:    python tools/test.py configs/segearth-ov3_context59.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py context59 --src DIR
# Data:       data/VOC2010/{JPEGImages,SegmentationClassContext}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 59.2 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 60.1 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0 (every pixel gets its best class), conf 0.3, as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 59 classes; the published words (59 prompts), whole images. Some count 5105 images.
_base_ = '_base_/context59.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/context59.txt', background=None, prob_threshold=0.0, confidence_threshold=0.3)
