"""The toolkit inside mmsegmentation: importing this package registers its classes there.

A configuration names it in `custom_imports`; then the types `SegEarthOV3Segmentor`, `SegEarthOV3DataPreprocessor`,
`DubaiAerialDataset`, `GeneratedScenesDataset`, `LoadColorAnnotations`, `LoadPicture`, `LoadLabels`, `ConfusionMetric`,
`ResultsHook`, `SavePredictionsHook`, `PicturesHook`, `ProgressHook` and `InferenceWrapper` are known to mmengine. This
is the only package that imports mmseg, mmengine or mmcv.
"""

from . import mmcv_ops

mmcv_ops.install()  # before anything that imports mmseg.models

from . import datasets, generated_scenes, hooks, loading, metrics, segmentor  # noqa: E402

__all__ = ["datasets", "generated_scenes", "hooks", "loading", "metrics", "mmcv_ops", "segmentor"]
