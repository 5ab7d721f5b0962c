_base_ = 'default_runtime.py'

dataset_name = 'gid'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='gid',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GID',
        data_prefix=dict(img_path='images', seg_map_path='labels')))
