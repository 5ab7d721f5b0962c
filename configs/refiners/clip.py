# The part of the seed set that needs CLIP ViT-L/14-336: alone at every place, and the chain smoothing -> lowpass -> clip.
# Without a connection, name a local file: dict(type='clip_similarity', pretrained='ViT-L-14-336.safetensors', ...).
# What an encoder that has learnt nothing does: clip_control.py. Mode 'channel', for SAM 3's own size: clip_channel.py.
variants = [
    *[dict(name=f'clip_similarity @ {at}', refiners=[dict(type='clip_similarity', beta=0.3, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
    dict(name='clip_similarity text @ memory', refiners=[
        dict(type='clip_similarity', beta=0.3, mode='text', at='memory')]),
    *[dict(name=f'smoothing, lowpass, clip_similarity @ {at}', refiners=[
        dict(type='smoothing', weight=0.2, at=at),
        dict(type='lowpass', radius=12, alpha=0.2, at=at),
        dict(type='clip_similarity', beta=0.3, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
]
