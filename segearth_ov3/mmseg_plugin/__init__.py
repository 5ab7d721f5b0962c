"""The toolkit inside mmsegmentation: importing this package registers its classes there.

A configuration names it in `custom_imports`; then the types `SegEarthOV3Segmentor`, `SegEarthOV3DataPreprocessor`,
`BenchmarkDataset`, `LabelledImages`, `DubaiAerialDataset`, `GeneratedScenesDataset`, `LoadColorAnnotations`,
`LoadPicture`, `LoadPicturePair`, `LoadLabels`, `CorruptPicture`, `RecordHook`, `SavePredictionsHook`, `PicturesHook`,
`ProgressHook` and `InferenceWrapper` are known to mmengine. This is the only package that imports mmseg, mmengine or
mmcv.
"""

from . import mmcv_ops

mmcv_ops.install()  # before anything that imports mmseg.models

from . import benchmark_dataset, corruption, datasets, generated_scenes, hooks, loading, own_dataset, segmentor  # noqa: E402

__all__ = [
    "benchmark_dataset",
    "corruption",
    "datasets",
    "generated_scenes",
    "hooks",
    "loading",
    "mmcv_ops",
    "own_dataset",
    "segmentor",
]
