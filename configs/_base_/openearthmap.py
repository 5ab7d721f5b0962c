_base_ = 'default_runtime.py'

dataset_name = 'openearthmap'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='openearthmap',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/OpenEarthMap',
        data_prefix=dict(img_path='val/images', seg_map_path='val/labels')))
