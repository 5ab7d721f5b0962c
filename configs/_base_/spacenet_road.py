_base_ = 'default_runtime.py'

dataset_name = 'spacenet_road'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='spacenet_road',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GlobalRoadSet_Val/SpaceNet_test_567',
        data_prefix=dict(img_path='img', seg_map_path='label_cvt')))
