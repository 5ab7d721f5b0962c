_base_ = 'default_runtime.py'

dataset_name = 'whu_aerial'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='whu_aerial',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/WHU-BD',
        data_prefix=dict(img_path='val/image', seg_map_path='val/label_binary')))
