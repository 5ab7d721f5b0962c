_base_ = 'default_runtime.py'

dataset_name = 'chn6_cug'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='chn6_cug',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/CHN6-CUG',
        data_prefix=dict(img_path='val/image_cvt', seg_map_path='val/label_cvt')))
