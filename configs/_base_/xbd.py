_base_ = 'default_runtime.py'

dataset_name = 'xbd'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='xbd',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/xBD',
        data_prefix=dict(img_path='test/images_pre', seg_map_path='test/targets_binary_pre')))
