# COCO-Object: the 5000 photographs of COCO val2017, 80 things and background.
#
# Command:    python tools/test.py configs/segearth-ov3_coco_object.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py coco_object --src DIR
# Data:       data/COCOObject/{images/val2017,annotations/val2017}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 72.0 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 72.0 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0.4, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 81 classes; the published words (81 prompts), whole images. Labels are made as by GroupViT:
#             things from the stuff-thing maps, everything else background. Whether the authors used this step is
#             unknown.
_base_ = '_base_/coco_object.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/coco_object.txt', background=0, prob_threshold=0.4, confidence_threshold=0.5)
