_base_ = 'default_runtime.py'

dataset_name = 'context59'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='context59',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/VOC2010',
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext')))
