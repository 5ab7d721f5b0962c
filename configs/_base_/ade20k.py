_base_ = 'default_runtime.py'

dataset_name = 'ade20k'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='ade20k',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/ADE20K',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation')))
