# ISPRS Vaihingen, validation part: 398 crops of 512 x 512 from 17 areas, 6 classes, clutter included.
#
# Command:    python tools/test.py configs/segearth-ov3_vaihingen.py --checkpoint sam3.pt
# Data:       data/Vaihingen/{img_dir,ann_dir}/val/*.png; elsewhere: --data-root DIR
#             or --cfg-options test_dataloader.dataset.data_root=DIR
# Published:  SegEarth-OV3 60.8 mIoU (paper, quoted); reruns 60.80 and 60.8; ProC-SAM3 64.5
# Thresholds: prob 0.1, conf 0.4, fallback clutter (5), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 6 classes; the published words (6 prompts), eroded borders ignored, bands near-infrared,
#             red, green shown to the network as they are.
_base_ = '_base_/vaihingen.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/vaihingen.txt', background=5, prob_threshold=0.1, confidence_threshold=0.4)
