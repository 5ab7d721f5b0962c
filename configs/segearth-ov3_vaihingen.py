# ISPRS Vaihingen, validation part: 398 crops of 512 x 512 from 17 areas, 6 classes, clutter included.
#
# Command:    python tools/test.py configs/segearth-ov3_vaihingen.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py vaihingen --src DIR
# Data:       data/Vaihingen/{img_dir/val,ann_dir/val}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 60.8 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS or qhdusrla08/capstone-project, 60.8 mIoU [M]
#             SegEarth-OV3, rerun by ProC-SAM3, 60.8 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 64.5 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.1, conf 0.4, fallback clutter (5), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 6 classes; the published words (6 prompts), eroded borders ignored, bands near-infrared,
#             red, green shown to the network as they are.
_base_ = '_base_/vaihingen.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/vaihingen.txt', background=5, prob_threshold=0.1, confidence_threshold=0.4)
