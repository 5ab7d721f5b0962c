# COCO-Stuff 164k: the 5000 photographs of COCO val2017, 171 classes.
#
# Command:    python tools/test.py configs/segearth-ov3_coco_stuff164k.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py coco_stuff164k --src DIR
# Data:       data/COCOStuff/{images/val2017,annotations/val2017}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 42.8 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png; rerun or quoted: not known)
#             ActiveSAM 44.4 mIoU [P] (VILA-Lab/ActiveSAM results/table1.png)
# Thresholds: prob 0 (every pixel gets its best class), conf 0.2, as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 171 classes; the published words (171 prompts), whole images.
_base_ = '_base_/coco_stuff164k.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/coco_stuff164k.txt', background=None, prob_threshold=0.0,
    confidence_threshold=0.2)
