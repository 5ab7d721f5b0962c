# Dubai aerial imagery (Humans in the Loop): 72 satellite images of 8 tiles, about 500 to 2100 pixels a side, 5 classes.
#
# Command:    python tools/test.py configs/segearth-ov3_dubai.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py dubai --src DIR
# Data:       data/dubai_aerial/Tile N/{images,masks}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
#             some tiles only: --cfg-options test_dataloader.dataset.tiles=1,2
# Published:  none
# Thresholds: prob 0 (every pixel gets its best class), conf 0.5, window 504, stride 378: the toolkit's defaults, and
#             windows that keep the houses of the large tiles as large as they are in the small ones
# Measured:   none yet with SAM 3's weights; with --checkpoint demo, tile 7 (never trained on, float32, CPU): 41.38 mIoU in
#             these windows, 32.01 with --mode whole
# Comparable: with nothing published; words of our own. Outlines are coarse: a sanity check, not a boundary metric.
#             Unlabelled, black and undocumented colours are ignored.
_base_ = '_base_/dubai.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/dubai.txt', background=1, prob_threshold=0.0, confidence_threshold=0.5,
    window=504, stride=378)
