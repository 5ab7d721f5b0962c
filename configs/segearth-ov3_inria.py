# Inria Aerial Image Labeling: 675 crops of 1000 x 1000 from 27 tiles of the train part, building and background.
#
# Command:    python tools/test.py configs/segearth-ov3_inria.py --checkpoint sam3.pt
# Prepare:    python tools/prepare_data/prepare.py inria --src DIR
# Data:       data/Inria/AerialImageDataset/{train/img_dir/split_test,train/ann_dir/split_test};
#             elsewhere: --data-root DIR, or the folder of all sets in the variable SEGEARTH_OV3_DATA
# Published:  SegEarth-OV3 72.4 IoU [Q] (arXiv 2512.08730, quoted in a blog or catalogue)
# Thresholds: prob 0.5, conf 0.5, fallback background (0), as released with SegEarth-OV3
# Measured:   none yet with SAM 3's weights
# Comparable: IoU of building; the published words (2 prompts). The split is FCtL's, since labels of the official test
#             part are not public.
_base_ = '_base_/inria.py'

model = dict(
    vocabulary='{{ fileDirname }}/vocab/inria.txt', background=0, prob_threshold=0.5, confidence_threshold=0.5)
