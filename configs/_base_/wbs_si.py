_base_ = 'default_runtime.py'

dataset_name = 'wbs_si'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='wbs_si',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed',
        ann_file='val.txt',
        data_prefix=dict(img_path='Images', seg_map_path='Masks_binary')))
