_base_ = 'default_runtime.py'

dataset_name = 'massachusetts_road'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='massachusetts_road',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GlobalRoadSet_Val/Massachusetts_test_49',
        data_prefix=dict(img_path='img', seg_map_path='label_cvt')))
