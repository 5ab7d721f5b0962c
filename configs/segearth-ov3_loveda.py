# LoveDA, validation part: 1669 images of 1024 x 1024, 7 classes, background included.
#
# Command:    python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py loveda --src DIR
# Data:       data/LoveDA/{img_dir/val,ann_dir/val}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 47.4 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)
#             SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS, 47.38 mIoU [M]
#             SegEarth-OV3, rerun by qhdusrla08/capstone-project, 47.38 mIoU [M]
#             SegEarth-OV3, rerun by ProC-SAM3, 41.6 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
#             ProC-SAM3 46.1 mIoU [P] (YanghuiSong/ProC-SAM3 assets/results.png (Table I))
# Thresholds: prob 0.5, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 7 classes; the published words (11 prompts), whole images, no windows. SegEarth-OV used
#             other words and smaller images.
_base_ = '_base_/loveda.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/loveda.txt', background=0, prob_threshold=0.5, confidence_threshold=0.5)
