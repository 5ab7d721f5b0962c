_base_ = 'default_runtime.py'

dataset_name = 'cityscapes'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='cityscapes',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/CityScapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')))
