_base_ = 'default_runtime.py'

dataset_name = 'loveda'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='loveda',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/LoveDA',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
