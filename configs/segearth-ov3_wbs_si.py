# WBS-SI: 499 Sentinel-2 composites of the published id list, water and background.
#
# Command:    python tools/test.py configs/segearth-ov3_wbs_si.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py wbs_si --src DIR
# Data:       data/WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed/{Images,Masks_binary};
#             elsewhere: --data-root DIR, or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 75.6 IoU [Q] (arXiv 2512.08730, quoted in a blog or catalogue)
# Thresholds: prob 0.3, conf 0.3, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of water; the published words (2 prompts). The published masks were stored as JPEG again, which moves
#             borders; ours are exact. For the published way: prepare_data/prepare.py wbs_si --published, then
#             --data-root data/WaterBodiesDatasetPreprocessed-published/WaterBodiesDatasetPreprocessed
_base_ = '_base_/wbs_si.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/wbs_si.txt', background=0, prob_threshold=0.3, confidence_threshold=0.3)
