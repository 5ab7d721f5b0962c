# Pascal Context, validation part: 5104 photographs, 59 classes and background.
#
# Command:    python tools/test.py configs/segearth-ov3_context60.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py context60 --src DIR
# Data:       data/VOC2010/{JPEGImages,SegmentationClassContext}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 53.4 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 55.4 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0.1, conf 0.3, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 60 classes; the published words (60 prompts), whole images. Some count 5105 images.
_base_ = '_base_/context60.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/context60.txt', background=0, prob_threshold=0.1, confidence_threshold=0.3)
