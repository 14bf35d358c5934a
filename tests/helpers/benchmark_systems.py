"""Two systems, settings and figures for tests of the benchmark."""

from helpers.scripts import PROJECT

from mmstan.benchmark.cost import Settings

SETTINGS = Settings(device='cpu', threads=1, clips=2, repeats=1)
STAN = str(PROJECT / 'configs/stan/k400_b16.py')
MEAN = str(PROJECT / 'configs/baselines/clip_mean/k400_b16.py')
FIGURES = dict(
    gmacs=10.0,
    parameters=3e6,
    trained=1e6,
    forward=2.0,
    step=8.0,
    iteration=10.0,
    memory=5e8,
    share=0.5,
    utilisation=0.25,
)
# Of a measurement today; older ones lack them.
PRODUCTS = {'step_products', 'iteration_products', 'forward_products'}
