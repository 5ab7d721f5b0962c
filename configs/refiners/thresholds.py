# What thresholds and the parts of the score fusion are worth without any refiner: the row that a refiner has to beat.
variants = [
    dict(name='semantic head alone', use_instance=False),
    dict(name='instance head alone', use_semantic=False),
    dict(name='presence not in the last product', presence='gate_only'),
    dict(name='without presence', presence='off'),
]
sweeps = [
    dict(name='thresholds', grid={
        'confidence_threshold': [0.1, 0.3, 0.5, 0.7],
        'prob_threshold': [0.0, 0.1, 0.2, 0.3]}),
]
