# Loading only: images before and after, side by side as six channels, and the label of change.
_base_ = 'default_runtime.py'

dataset_name = 's2looking'
test_pipeline = [
    dict(type='LoadPicturePair', color_type='color_ignore_orientation', imdecode_backend='pillow'),
    dict(type='LoadLabels'),
    dict(type='ConcatCDInput'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='s2looking',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/S2Looking/test',
        data_prefix=dict(img_path='Image1', img_path2='Image2', seg_map_path='label_cvt'),
        pipeline=test_pipeline))
