# What every evaluation shares: the model, the loop, the data loading and what is written.
default_scope = 'mmseg'
custom_imports = dict(imports=['segearth_ov3.mmseg_plugin'], allow_failed_imports=False)

# checkpoint=None: the environment variable SEGEARTH_OV3_CHECKPOINT; device=None: the accelerator if there is one
model = dict(type='SegEarthOV3Segmentor', checkpoint=None, device=None, dtype='float32')
model_wrapper_cfg = dict(type='InferenceWrapper')  # only used in distributed runs

# orientation tags of photographs are not applied: the labels are not rotated either
test_pipeline = [
    dict(type='LoadPicture', color_type='color_ignore_orientation', imdecode_backend='pillow'),
    dict(type='LoadLabels'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True))
test_evaluator = []  # pixels are counted anyway; mmseg's own metrics may be put here: dict(type='IoUMetric')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=None,
    checkpoint=None)
custom_hooks = []

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
headline = None  # class whose IoU is the headline, or 'mIoU'; None: by the facts of the set, or of two classes by name
log_level = 'INFO'
log_processor = dict(by_epoch=False)
load_from = None
resume = False
