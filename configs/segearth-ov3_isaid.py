# iSAID, validation part: 11644 crops of 896 x 896, 15 kinds of objects and background.
#
# Command:    python tools/test.py configs/segearth-ov3_isaid.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py isaid --src DIR
# Data:       data/iSAID/{img_dir/val,ann_dir/val}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 27.6 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by ProC-SAM3, 26.0 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 29.5 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.5, conf 0.4, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 16 classes, background included; the published words (16 prompts), padding ignored. Labels
#             written by converters that newer Pillow flattens to 0 and 1 give other numbers: prepare again.
_base_ = '_base_/isaid.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/isaid.txt', background=0, prob_threshold=0.5, confidence_threshold=0.4)
