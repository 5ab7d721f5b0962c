_base_ = 'default_runtime.py'

dataset_name = 'deepglobe_road'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='deepglobe_road',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GlobalRoadSet_Val/DeepGlobe_test_1530',
        data_prefix=dict(img_path='image_cvt', seg_map_path='label_cvt')))
