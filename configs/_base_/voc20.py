_base_ = 'default_runtime.py'

dataset_name = 'voc20'
test_dataloader = dict(
    dataset=dict(
        type='BenchmarkDataset',
        benchmark='voc20',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/VOC2012',
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')))
