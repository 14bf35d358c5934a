"""No forward pass asks for ``len(tensor)``: that is a number, and exports fix the batch size."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'mmstan'
FOLDERS = ('models', 'methods')
FILES = [
    str(path.relative_to(PACKAGE))
    for folder in FOLDERS
    for path in sorted((PACKAGE / folder).rglob('*.py'))
]


def find_lengths(source: str) -> list[tuple[int, str]]:
    """Line and argument of ``len(x)`` where ``x`` is annotated as a tensor in its function."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        arguments = [*function.args.args, *function.args.kwonlyargs, *function.args.posonlyargs]
        tensors = {
            x.arg for x in arguments if x.annotation and ast.unparse(x.annotation) == 'Tensor'
        }
        for node in ast.walk(function):  # names that are made in it, too: x = self.f(clip)
            if isinstance(node, ast.Assign) and not isinstance(
                node.value, (ast.List, ast.ListComp, ast.Tuple, ast.Dict, ast.DictComp)
            ):
                names = [x for target in node.targets for x in ast.walk(target)]
                uses = {x.id for x in ast.walk(node.value) if isinstance(x, ast.Name)}
                if uses & tensors:
                    tensors |= {x.id for x in names if isinstance(x, ast.Name)}
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == 'len'
                and isinstance(node.args[0], ast.Name)
                and node.args[0].id in tensors
            ):
                found.append((node.lineno, node.args[0].id))
    return found


# Outside of a forward pass: positions of a checkpoint, frame masks of data samples.
ALLOWED = {
    ('models/features.py', 'x'),
    ('models/layers/time_table.py', 'table'),
    ('models/layers/time_table.py', 'positions'),
}


@pytest.mark.parametrize('name', FILES)
def test_no_length_of_a_tensor(name: str) -> None:
    found = find_lengths((PACKAGE / name).read_text('utf-8'))
    wrong = [f'{name}:{line}: len({x})' for line, x in found if (name, x) not in ALLOWED]
    assert not wrong, 'write x.shape[0]'


def test_lengths_are_found() -> None:
    source = """
    def forward(self, clip: Tensor, names: list[str]) -> Tensor:
        x = self.tower(clip)
        n, k = len(x), len(names)
        return x.view(n, k, len(clip))
    """
    import textwrap

    assert [x for _, x in find_lengths(textwrap.dedent(source))] == ['x', 'clip']
