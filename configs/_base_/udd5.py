_base_ = 'default_runtime.py'

dataset_name = 'udd5'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='udd5',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/UDD5',
        data_prefix=dict(img_path='val/src', seg_map_path='val/gt')))
