_base_ = 'default_runtime.py'

dataset_name = 'vdd'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='vdd',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/VDD',
        data_prefix=dict(img_path='test/src', seg_map_path='test/gt')))
