# xBD, images before the disaster, test part: 933 images of 1024 x 1024, building and background.
#
# Command:    python tools/test.py configs/segearth-ov3_xbd.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py xbd --src DIR
# Data:       data/xBD/{test/images_pre,test/targets_binary_pre}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.1, conf 0.1, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of building; the published words (2 prompts). Labels prepared by SegEarth-OV lie in
#             test/targets_cvt_pre: test_dataloader.dataset.data_prefix.seg_map_path=test/targets_cvt_pre
_base_ = '_base_/xbd.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/xbd.txt', background=0, prob_threshold=0.1, confidence_threshold=0.1)
