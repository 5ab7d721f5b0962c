# WHU Building, satellite dataset II (East Asia), test part: about 3726 tiles of 512 x 512, building and background.
#
# Command:    python tools/test.py configs/segearth-ov3_whu_sat_ii.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py whu_sat_ii --src DIR
# Data:       data/WHU_Sat_II/Satellite_dataset_Ⅱ_East_Asia/1.cropped/{test/image,test/label_binary};
#             elsewhere: --data-root DIR, or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  none
# Thresholds: prob 0.4, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of building; the published words (2 prompts). Labels prepared by SegEarth-OV lie in test/label_cvt:
#             test_dataloader.dataset.data_prefix.seg_map_path=test/label_cvt
_base_ = '_base_/whu_sat_ii.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/whu_sat_ii.txt', background=0, prob_threshold=0.4, confidence_threshold=0.5)
