_base_ = 'default_runtime.py'

dataset_name = 'dubai'
test_pipeline = [
    dict(type='LoadPicture', color_type='color_ignore_orientation', imdecode_backend='pillow'),
    dict(
        type='LoadColorAnnotations',
        # building, land, road, vegetation, water
        colors=[[60, 16, 152], [132, 41, 246], [110, 193, 228], [254, 221, 58], [226, 169, 41]],
        # unlabeled; black was never annotated
        ignore_colors=[[155, 155, 155], [0, 0, 0]],
        unknown='warn'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='DubaiAerialDataset',
        data_root='{{$SEGEARTH_OV3_DATA:data}}/dubai_aerial',
        data_prefix=dict(img_path=''),
        tiles=None,  # all that are there; or numbers, [1, 2]
        parts=None,  # all; or numbers of the images per tile, 1 to 9
        pipeline=test_pipeline))
