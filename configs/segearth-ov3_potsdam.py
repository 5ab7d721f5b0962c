# ISPRS Potsdam, validation part: 2016 crops of 512 x 512 from 14 RGB tiles, 6 classes, clutter included.
#
# Command:    python tools/test.py configs/segearth-ov3_potsdam.py --checkpoint sam3.pt
# Data:       data/Potsdam/{img_dir,ann_dir}/val/*.png; elsewhere: --data-root DIR
#             or --cfg-options test_dataloader.dataset.data_root=DIR
# Published:  SegEarth-OV3 57.8 mIoU (paper, quoted); reruns 57.83, 57.80 and 57.2; ProC-SAM3 58.8
# Thresholds: prob 0.1, conf 0.2, fallback clutter (5), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 6 classes; the published words (6 prompts), eroded borders ignored. The last row and
#             column of crops of a tile overlap the one before by 144 pixels, which count twice, as published.
_base_ = '_base_/potsdam.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/potsdam.txt', background=5, prob_threshold=0.1, confidence_threshold=0.2)
