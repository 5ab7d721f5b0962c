_base_ = 'default_runtime.py'

dataset_name = 'inria'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='inria',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/Inria/AerialImageDataset',
        data_prefix=dict(img_path='train/img_dir/split_test', seg_map_path='train/ann_dir/split_test')))
