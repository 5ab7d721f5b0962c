_base_ = 'default_runtime.py'

dataset_name = 'uavid'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='uavid',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/UAVid',
        data_prefix=dict(img_path='img_dir/test', seg_map_path='ann_dir/test')))
