_base_ = 'default_runtime.py'

dataset_name = 'isaid'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='isaid',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/iSAID',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
