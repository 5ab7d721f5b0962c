_base_ = 'default_runtime.py'

dataset_name = 'gf_road'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='gf_road',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GF_LowGradeRoadDataset',
        data_prefix=dict(img_path='test/image', seg_map_path='test/label')))
