_base_ = 'default_runtime.py'

dataset_name = 'demo'
test_dataloader = dict(
    dataset=dict(
        type='GeneratedScenesDataset',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/demo_scenes',  # filled on first use
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        count=50,
        side=504,
        first_seed=1000000))
