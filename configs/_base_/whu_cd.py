# Loading only: images before and after, side by side as six channels, and the label of change.
_base_ = 'default_runtime.py'

dataset_name = 'whu_cd'
test_pipeline = [
    dict(type='LoadPicturePair', color_type='color_ignore_orientation', imdecode_backend='pillow'),
    dict(type='LoadLabels'),
    dict(type='ConcatCDInput'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='whu_cd',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/WHU-CD/test_512',
        data_prefix=dict(img_path='A', img_path2='B', seg_map_path='label_cvt'),
        pipeline=test_pipeline))
