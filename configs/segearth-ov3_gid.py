# GID: 1680 crops of 1024 x 1024 from 30 GF-2 scenes, 5 classes and unlabeled, which counts.
#
# Command:    python tools/test.py configs/segearth-ov3_gid.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py gid --src DIR
# Data:       data/GID/{images,labels}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 42.2 mIoU [Q] (FasterThanAi/FreeTraining-OVSS; mean over 5 or 6 classes unknown)
# Thresholds: prob 0.1, conf 0.1, fallback unlabeled (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: words of our own, since none were published; whether the published mean is over 5 or 6 classes is
#             unknown, results.json has every class. The last column of crops repeats 992 of its 1024 columns, as
#             published.
_base_ = '_base_/gid.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/gid.txt', background=0, prob_threshold=0.1, confidence_threshold=0.1)
