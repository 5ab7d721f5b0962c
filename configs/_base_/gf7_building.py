_base_ = 'default_runtime.py'

dataset_name = 'gf7_building'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='gf7_building',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/GF7-building',
        data_prefix=dict(img_path='Test/image', seg_map_path='Test/label_cvt')))
