# WHU Building, aerial, validation part: about 1036 tiles of 512 x 512, building and background.
#
# Command:    python tools/test.py configs/segearth-ov3_whu_aerial.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py whu_aerial --src DIR
# Data:       data/WHU-BD/{val/image,val/label_binary}; elsewhere: --data-root DIR,
#             or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 86.9 IoU [Q] (arXiv 2512.08730, quoted in a blog or catalogue)
# Thresholds: prob 0.4, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of building; the published words (2 prompts). The val part, not the test part, as published. Labels
#             prepared by SegEarth-OV lie in val/label_cvt:
#             test_dataloader.dataset.data_prefix.seg_map_path=val/label_cvt
_base_ = '_base_/whu_aerial.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/whu_aerial.txt', background=0, prob_threshold=0.4, confidence_threshold=0.5)
