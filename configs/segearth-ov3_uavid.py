# UAVid, test part: 1020 crops of 1280 x 1080 from 150 drone photographs, 7 classes, clutter included.
#
# Command:    python tools/test.py configs/segearth-ov3_uavid.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py uavid --src DIR
# Data:       data/UAVid/{img_dir/test,ann_dir/test}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 54.7 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS, 56.86 mIoU [M] (70 val frames, longer side 1008)
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS, 57.29 mIoU [M] (70 val frames, longer side 1344)
#             SegEarth-OV3, rerun by ProC-SAM3, 54.7 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 60.0 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.3, conf 0.3, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 7 classes; the published words (7 prompts). The val part, or labels flattened to 0 and 1 by
#             newer Pillow, give other numbers.
_base_ = '_base_/uavid.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/uavid.txt', background=0, prob_threshold=0.3, confidence_threshold=0.3)
