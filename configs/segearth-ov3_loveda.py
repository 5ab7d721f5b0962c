# LoveDA, validation part: 1669 images of 1024 x 1024, 7 classes, background included.
#
# Command:    python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt
# Data:       data/LoveDA/{img_dir,ann_dir}/val/*.png (Rural and Urban together); elsewhere: --data-root DIR
#             or --cfg-options test_dataloader.dataset.data_root=DIR
# Published:  SegEarth-OV3 47.4 mIoU (paper, quoted); reruns 47.38, 47.38 and 41.6; ProC-SAM3 46.1
# Thresholds: prob 0.5, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: mIoU over the 7 classes; the published words (11 prompts), whole images, no windows.
#             SegEarth-OV used other words and smaller images.
_base_ = '_base_/loveda.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/loveda.txt', background=0, prob_threshold=0.5, confidence_threshold=0.5)
