# ISPRS Potsdam, validation part: 2016 crops of 512 x 512 from 14 RGB tiles, 6 classes, clutter included.
#
# Command:    python tools/test.py configs/segearth-ov3_potsdam.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py potsdam --src DIR
# Data:       data/Potsdam/{img_dir/val,ann_dir/val}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 57.8 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS or qhdusrla08/capstone-project, 57.83 mIoU [M]
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS or qhdusrla08/capstone-project, 57.8 mIoU [M]
#             SegEarth-OV3, rerun by ProC-SAM3, 57.2 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 58.8 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.1, conf 0.2, fallback clutter (5), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 6 classes; the published words (6 prompts), eroded borders ignored. The last row and column
#             of crops of a tile overlap the one before by 144 pixels, which count twice, as published.
_base_ = '_base_/potsdam.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/potsdam.txt', background=5, prob_threshold=0.1, confidence_threshold=0.2)
