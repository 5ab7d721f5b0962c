_base_ = 'default_runtime.py'

dataset_name = 'whu_sat_ii'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='whu_sat_ii',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/WHU_Sat_II/Satellite_dataset_Ⅱ_East_Asia/1.cropped',
        data_prefix=dict(img_path='test/image', seg_map_path='test/label_binary')))
