_base_ = 'default_runtime.py'

dataset_name = 'zurich_summer'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='zurich_summer',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/Zurich_Summer',
        data_prefix=dict(img_path='images', seg_map_path='labels')))
