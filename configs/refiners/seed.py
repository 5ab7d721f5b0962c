# The seed set: every refiner at every place, and the chain smoothing -> lowpass -> clip, without CLIP: see clip.py.
variants = [
    *[dict(name=f'smoothing @ {at}', refiners=[dict(type='smoothing', weight=0.2, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
    *[dict(name=f'lowpass @ {at}', refiners=[dict(type='lowpass', radius=12, alpha=0.2, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
    *[dict(name=f'graph_laplacian lam={lam} @ {at}', refiners=[dict(type='graph_laplacian', lam=lam, at=at)])
      for at in ('trunk', 'pyramid', 'memory') for lam in (0.1, 0.3, 1.0)],
    *[dict(name=f'smoothing, lowpass @ {at}', refiners=[
        dict(type='smoothing', weight=0.2, at=at),
        dict(type='lowpass', radius=12, alpha=0.2, at=at)])
      for at in ('trunk', 'pyramid', 'memory')],
]
