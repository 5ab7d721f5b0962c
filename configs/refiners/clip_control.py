# The control for clip.py, row for row, with an encoder that has learnt nothing: open_clip's own initialisation of
# ViT-L-14-336 from a fixed seed, no download. What CLIP's weights gain over these rows is what CLIP knows.
variants = [
    *[dict(name=f'random encoder @ {at}', refiners=[
        dict(type='clip_similarity', pretrained='random', beta=0.3, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
    dict(name='random encoder text @ memory', refiners=[
        dict(type='clip_similarity', pretrained='random', beta=0.3, mode='text', at='memory')]),
    *[dict(name=f'smoothing, lowpass, random encoder @ {at}', refiners=[
        dict(type='smoothing', weight=0.2, at=at),
        dict(type='lowpass', radius=12, alpha=0.2, at=at),
        dict(type='clip_similarity', pretrained='random', beta=0.3, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
]
