_base_ = 'default_runtime.py'

dataset_name = 'loveda'
test_dataloader = dict(
    dataset=dict(
        type='LoveDADataset',
        data_root='data/LoveDA',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
