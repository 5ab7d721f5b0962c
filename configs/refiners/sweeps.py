# Two parameters at a time, at the memory; each sweep becomes a heat map.
sweeps = [
    dict(name='smoothing', refiners=[dict(type='smoothing', mode='blend', at='memory')], grid={
        'smoothing.kernel_size': [3, 5],
        'smoothing.weight': [0.1, 0.2, 0.4]}),
    dict(name='lowpass', refiners=[dict(type='lowpass', shape='gaussian', padding='reflect', at='memory')], grid={
        'lowpass.radius': [4, 8, 12],
        'lowpass.alpha': [0.2, 0.5]}),
    dict(name='graph_laplacian', refiners=[dict(type='graph_laplacian', at='memory')], grid={
        'graph_laplacian.lam': [0.1, 0.3, 1.0],
        'graph_laplacian.radius': [1, 2]}),
]
