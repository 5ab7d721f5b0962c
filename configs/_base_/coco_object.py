_base_ = 'default_runtime.py'

dataset_name = 'coco_object'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='coco_object',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/COCOObject',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017')))
