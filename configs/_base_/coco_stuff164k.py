_base_ = 'default_runtime.py'

dataset_name = 'coco_stuff164k'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='coco_stuff164k',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/COCOStuff',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017')))
